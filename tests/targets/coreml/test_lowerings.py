"""Lowerings against ONNX Runtime, where the standard's node tests are silent: attributes together, and real shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from coreml_parity import Case, evaluated, inputs_of, ints, kinds, normal, parity
from coremltools.converters.mil.mil import Builder as mb

from edgevision.errors import GraphError
from edgevision.targets.coreml.lowering.table import TABLE

CASES = {
    "grouped strided dilated conv": Case(
        "g (float[2,8,17,15] x) => (float[2,12,8,7] y) { y = Conv<group=4, strides=[2,2], dilations=[2,2], "
        "pads=[1,2,2,1]>(x, w, b) }",
        {"w": normal(12, 2, 3, 3), "b": normal(12)},
    ),
    "transposed conv with output padding": Case(
        "g (float[1,6,5,7] x) => (float[1,4,11,15] y) { y = ConvTranspose<strides=[2,2], pads=[1,1,1,1], "
        "output_padding=[1,1], group=2>(x, w, b) }",
        {"w": normal(6, 2, 4, 4)[:, :, :4, :4], "b": normal(4)},
    ),
    "transposed conv whose output padding exceeds its pads": Case(
        "g (float[1,2,4] x) => (float[1,3,10] y) { y = ConvTranspose<strides=[2], pads=[0,0], output_padding=[1], "
        "kernel_shape=[3]>(x, w, b) }",
        {"w": normal(2, 3, 3), "b": normal(3)},
    ),
    "average pool, ceiling, pads counted": Case(
        "g (float[1,3,14,14] x) => (float[1,3,h,w] y) { y = AveragePool<kernel_shape=[3,3], strides=[2,2], "
        "pads=[1,1,1,1], ceil_mode=1, count_include_pad=1>(x) }"
    ),
    "average pool, ceiling, pads not counted": Case(
        "g (float[1,3,14,14] x) => (float[1,3,h,w] y) { y = AveragePool<kernel_shape=[3,3], strides=[2,2], "
        "pads=[1,1,1,1], ceil_mode=1>(x) }"
    ),
    "max pool, ceiling, asymmetric pads": Case(
        "g (float[1,3,13,14] x) => (float[1,3,h,w] y) { y = MaxPool<kernel_shape=[3,2], strides=[2,3], "
        "pads=[0,1,1,0], ceil_mode=1>(x) }"
    ),
    "same lower": Case(
        'g (float[1,4,9,10] x) => (float[1,4,5,5] y) { y = Conv<auto_pad="SAME_LOWER", strides=[2,2]>(x, w) }',
        {"w": normal(4, 4, 3, 3)},
    ),
    "cubic resize": Case(
        'g (float[1,3,9,7] x) => (float[1,3,h,w] y) { y = Resize<mode="cubic", cubic_coeff_a=-0.75>(x, , , s) }',
        {"s": ints(1, 3, 14, 5)},
    ),
    "linear resize, half pixel": Case(
        'g (float[1,3,9,7] x) => (float[1,3,h,w] y) { y = Resize<mode="linear">(x, , , s) }', {"s": ints(1, 3, 20, 4)}
    ),
    "linear resize, corners aligned": Case(
        'g (float[1,3,9,7] x) => (float[1,3,h,w] y) { y = Resize<mode="linear", '
        'coordinate_transformation_mode="align_corners">(x, , , s) }',
        {"s": ints(1, 3, 17, 30)},
    ),
    "nearest resize by a fraction": Case(
        'g (float[1,3,8,8] x) => (float[1,3,h,w] y) { y = Resize<mode="nearest", nearest_mode="floor", '
        'coordinate_transformation_mode="asymmetric">(x, , s) }',
        {"s": np.asarray([1, 1, 1.5, 2], np.float32)},
    ),
    "channels-last layer norm": Case(
        "g (float[2,5,5,8] x) => (float[2,5,5,8] y) { y = LayerNormalization<axis=-1, epsilon=0.001>(x, g1, b) }",
        {"g1": normal(8), "b": normal(8, seed=1)},
    ),
    "attention's products": Case(
        'g (float[2,4,9,8] q, float[2,4,9,8] k) => (float[2,4,9,9] y) { y = Einsum<equation="bhid,bhjd->bhij">(q, k) }'
    ),
    "einsum of three": Case(
        'g (float[3,4] a, float[4,5] b, float[5,2] c) => (float[3,2] y) { y = Einsum<equation="ij,jk,kl->il">(a, b, c) }'
    ),
    "slices with negative steps": Case(
        "g (float[4,6,5] x) => (float[a,b,c] y) { y = Slice(x, st, en, ax, sp) }",
        {"st": ints(-1, 1), "en": ints(-(2**62), 2**62), "ax": ints(1, 2), "sp": ints(-2, 2)},
    ),
    "scatter into fewer rows": Case(
        "g (float[5,6] x, float[2,3] u) => (float[5,6] y) { y = ScatterElements<axis=0>(x, i, u) }",
        {"i": np.asarray([[0, 1, 2], [4, 3, 0]], np.int64)},
    ),
    "gather by computed negative indices": Case(
        "g (float[5,6] x, int64[3] i) => (float[3,6] y) { y = Gather<axis=0>(x, i) }",
        feeds={"i": ints(-1, 0, -5)},
    ),
    "padding by wrapping a channel axis": Case(
        'g (float[1,4,5,6] x) => (float[1,7,5,6] y) { y = Pad<mode="wrap">(x, p) }', {"p": ints(0, 2, 0, 0, 0, 1, 0, 0)}
    ),
    "reflection on both spatial axes": Case(
        'g (float[1,2,5,6] x) => (float[1,2,9,9] y) { y = Pad<mode="reflect">(x, p) }',
        {"p": ints(0, 0, 2, 1, 0, 0, 2, 2)},
    ),
    "computed branch": Case(
        "g (float[4] x) => (float[4] y) { s = ReduceSum<keepdims=0>(x)  c = Greater(s, z) "
        "y = If(c) <then_branch = t () => (float[4] a) { a = Relu(x) }, else_branch = e () => (float[4] b) "
        "{ b = Neg(x) }> }",
        {"z": np.asarray(100, np.float32)},
    ),
    "loop with a carried value": Case(
        "g (float[4] x, int64 n) => (float[4] y) { y = Loop(n, t, x) <body = l (int64 i, bool c, float[4] a) => "
        "(bool d, float[4] b) { d = Identity(c)  b = Add(a, x) }> }",
        {"t": np.asarray(True)},
        feeds={"n": np.asarray(5, np.int64)},
    ),
}


@pytest.mark.parametrize("name", [name for name in CASES if name != "loop with a carried value"])
def test_equals_onnx_runtime(name: str, tmp_path: Path) -> None:
    assert parity(CASES[name], tmp_path).max_abs_over_std < 1e-5


def test_loop_becomes_a_while_loop(tmp_path: Path) -> None:
    case = CASES["loop with a carried value"]
    model = case.model()
    model.graph.inputs[1].shape = type(model.graph.inputs[0].shape)([1])  # Core ML has no scalar inputs
    feeds = inputs_of(model, {"n": ints(5)})
    (result,) = evaluated(model, feeds, tmp_path, precision="fp32")
    np.testing.assert_allclose(result, 6 * feeds["x"], rtol=1e-6)
    assert ("while_loop", "int32") in kinds(model, tmp_path, precision="fp32")


def test_constant_branch_is_taken_at_conversion(tmp_path: Path) -> None:
    case = Case(
        "g (float[4] x) => (float[4] y) { y = If(c) <then_branch = t () => (float[4] a) { a = Relu(x) }, "
        "else_branch = e () => (float[4] b) { b = Neg(x) }> }",
        {"c": np.asarray(False)},
    )
    assert parity(case, tmp_path).max_abs_over_std < 1e-6
    assert "cond" not in dict(kinds(case.model(), tmp_path, precision="fp32"))


def test_a_wrong_lowering_is_caught_and_its_node_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgevision.targets.coreml import CoreML

    case = Case(
        "g (float[1,3,8,8] x) => (float[1,4,8,8] y) { a = Conv<pads=[1,1,1,1]>(x, w)  b = LeakyRelu<alpha=0.1>(a) "
        "c = Tanh(b)  y = Mul(c, b) }",
        {"w": normal(4, 3, 3, 3)},
    )
    monkeypatch.setitem(TABLE, "LeakyRelu", lambda call: mb.relu(x=call.var(0)))  # planted: the negative side is lost
    with pytest.raises(GraphError, match=r"first at node 'LeakyRelu_1'"):
        CoreML(precision="fp32").build(case.model(), tmp_path)


def test_shape_arithmetic_leaves_no_operation(tmp_path: Path) -> None:
    case = Case(
        "g (float[2,3,4,5] x) => (float[2,60] y) { s = Shape(x)  b = Gather(s, z)  m = Constant<value_ints=[-1]>() "
        "b1 = Unsqueeze(b, z1)  t = Concat<axis=0>(b1, m)  y = Reshape(x, t) }",
        {"z": np.asarray(0, np.int64), "z1": ints(0)},
    )
    assert parity(case, tmp_path).max_abs_over_std == 0
    assert [kind for kind, _ in kinds(case.model(), tmp_path, precision="fp32")] == ["reshape"]


def test_the_same_graph_gives_the_same_program(tmp_path: Path) -> None:
    model = CASES["grouped strided dilated conv"].model()
    assert kinds(model, tmp_path) == kinds(model, tmp_path)
    from edgevision.targets.coreml.evaluator.program import open_package

    def names() -> list[str]:
        kinds(model, tmp_path)
        return [operation.name for operation in open_package(tmp_path / "kinds.mlpackage").main.operations]

    assert names() == names()
