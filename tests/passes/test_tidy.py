"""Tidying changes what a graph consists of, never what it computes, and no weight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgevision.passes.split_constants import split_constants
from edgevision.passes.static_reshape import make_reshapes_static
from edgevision.passes.tidy import tidy
from edgevision.stages.samples import run_graph

HEAD = '<ir_version: 10, opset_import: ["" : 20]> agraph '


def parse(text: str) -> ir.Model:
    proto = onnx.parser.parse_model(HEAD + text)
    onnx.checker.check_model(proto)
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, data_prop=True))


def ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def same(text: str, tmp_path: Path, **feed: np.ndarray) -> ir.Model:
    """The tidied model, after it was found to compute exactly what the given one does."""
    model = parse(text)
    expected = run_graph(model, [feed], tmp_path)[0]
    tidy(model)
    for a, b in zip(expected, run_graph(model, [feed], tmp_path)[0], strict=True):
        assert np.array_equal(a, b)
    assert not tidy(model), "a tidy graph stays as it is"
    return model


X = np.arange(24, dtype=np.float32).reshape(2, 12)


def test_shape_arithmetic_goes(tmp_path: Path) -> None:
    """As the exporter writes a flatten with an open batch: the shape is asked for, cut and glued at run time."""
    model = same(
        """(float[batch, 3, 4] x) => (float[batch, 12] y) <int64[1] zero = {0}, int64[1] rest = {12}> {
            shape = Shape (x)
            first = Gather (shape, zero)
            target = Concat <axis = 0> (first, rest)
            y = Reshape (x, target)
        }""",
        tmp_path,
        x=X.reshape(2, 3, 4),
    )
    assert ops(model) == ["Reshape"]


def test_a_reshape_with_two_open_dimensions_stays(tmp_path: Path) -> None:
    model = parse("""(float[n, m] x, int64[2] target) => (float[m, n] y) { y = Reshape (x, target) }""")
    assert not make_reshapes_static(model)


def test_identities_unused_and_equal_nodes_go(tmp_path: Path) -> None:
    model = same(
        """(float[2, 12] x) => (float[2, 12] y) {
            a = Identity (x)
            unused = Exp (a)
            one = Relu (a)
            two = Relu (x)
            y = Add (one, two)
        }""",
        tmp_path,
        x=X,
    )
    assert ops(model) == ["Relu", "Add"]


def test_constant_expressions_fold(tmp_path: Path) -> None:
    model = same(
        """(float[2, 12] x) => (float[2, 12] y) <float[1] w = {0.5}> {
            e = Exp (w)
            a = Neg (e)
            y = Mul (x, a)
        }""",
        tmp_path,
        x=X,
    )
    assert ops(model) == ["Mul"]


EVEN = """(float[1] x) => (float[2] y, float[2] z) <float[4] w = {1, 2, 3, 4}> {
    a, b = Split <axis = 0, num_outputs = 2> (w)
    y = Add (a, x)
    z = Add (b, x)
}"""
UNEVEN = """(float[1] x) => (float[1] y, float[3] z) <float[4] w = {1, 2, 3, 4}, int64[2] sizes = {1, 3}> {
    a, b = Split <axis = 0> (w, sizes)
    y = Add (a, x)
    z = Add (b, x)
}"""


@pytest.mark.parametrize("text", [EVEN, UNEVEN])
def test_a_split_of_a_constant_folds(tmp_path: Path, text: str) -> None:
    assert ops(same(text, tmp_path, x=np.ones(1, np.float32))) == ["Add", "Add"]


def test_a_split_of_what_is_computed_stays() -> None:
    model = parse("(float[4] x) => (float[2] y, float[2] z) { y, z = Split <axis = 0, num_outputs = 2> (x) }")
    assert not split_constants(model)


def test_equal_weights_stay_apart_and_equal_integers_do_not(tmp_path: Path) -> None:
    """A fold may change one of two equal weights later; nothing changes an axis."""
    model = same(
        """(float[2, 12] x) => (float[1] y) <float[1] w = {2}, float[1] v = {2}, int64[1] i = {0}, int64[1] j = {0},
            int64[1] k = {1}> {
            a = Mul (x, w)
            b = Mul (a, v)
            c = ReduceSum <keepdims = 1> (b, i)
            d = ReduceSum <keepdims = 0> (c, k)
            e = Unsqueeze (d, j)
            y = Squeeze (e, i)
        }""",
        tmp_path,
        x=X,
    )
    kinds = sorted(str(v.dtype) for v in model.graph.initializers.values())
    assert kinds.count("FLOAT") == 2
    assert len([k for k in kinds if k == "INT64"]) <= 2


def test_a_large_constant_is_not_unrolled() -> None:
    """Folding must not turn a small expression into a whole feature map of constants."""
    model = parse(
        """(float[1] x) => (float[1, 9000, 9000] y) <int64[3] shape = {1, 9000, 9000}, float[1] one = {1}> {
            ones = Expand (one, shape)
            y = Mul (ones, x)
        }"""
    )
    tidy(model)
    assert sum(v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value) < 1000


def test_parts_without_elements_go(tmp_path: Path) -> None:
    """As MobileMamba-S6 writes the identity channels of a stage that has none."""
    model = same(
        """(float[2, 12] x) => (float[2, 12] y) <int64[3] sizes = {8, 4, 0}> {
            wide, near, rest = Split <axis = 1> (x, sizes)
            a = Exp (wide)
            b = Relu (near)
            y = Concat <axis = 1> (a, b, rest)
        }""",
        tmp_path,
        x=X,
    )
    assert [(node.op_type, len(node.inputs), len(node.outputs)) for node in model.graph if node.op_type != "Exp"] == [
        ("Split", 2, 2),
        ("Relu", 1, 1),
        ("Concat", 2, 1),
    ]


def test_an_empty_part_that_is_a_result_stays(tmp_path: Path) -> None:
    model = same(
        """(float[2, 12] x) => (float[2, 12] y, float[2, 0] z) <int64[2] sizes = {12, 0}> {
            part, z = Split <axis = 1> (x, sizes)
            y = Exp (part)
        }""",
        tmp_path,
        x=X,
    )
    assert ops(model) == ["Split", "Exp"]
