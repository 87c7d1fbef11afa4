"""Half precision where it has the range, float32 where it has not."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.reference
import onnx_ir as ir
import pytest

from edgevision.errors import GraphError
from edgevision.passes.cast_precision import KEPT, CastPrecision
from edgevision.proof import difference

SOFTPLUS = """
<ir_version: 9, opset_import: ["": 20]>
net (float[2, 6, 16] x) => (float[2, 6, 16] y) {
    scale = Constant<value_float = 12.0>()
    big = Mul(x, scale)
    e = Exp(big)
    one = Constant<value_float = 1.0>()
    sum = Add(e, one)
    y = Log(sum)
}"""
NORM = """
<ir_version: 9, opset_import: ["": 20]>
net (float[2, 6, 16] x) => (float[2, 6, 16] y) {
    scale = Constant<value_float = 300.0>()
    big = Mul(x, scale)
    axes = Constant<value_ints = [-1]>()
    norm = ReduceL2(big, axes)
    y = Div(big, norm)
}"""
LAYER_NORM = """
<ir_version: 9, opset_import: ["": 20]>
net (float[2, 6, 16] x) => (float[2, 6, 16] y) {
    scale = Constant<value_float = 300.0>()
    big = Mul(x, scale)
    two = Constant<value_float = 2.0>()
    square = Pow(big, two)
    axes = Constant<value_ints = [-1]>()
    mean = ReduceMean(square, axes)
    small = Constant<value_float = 0.00001>()
    sum = Add(mean, small)
    root = Sqrt(sum)
    y = Div(big, root)
}"""
LINEAR = """
<ir_version: 9, opset_import: ["": 20]>
net (float[2, 6, 16] x) => (float[2, 6, 5] y, float[2, 16, 6] z) {
    soft = Softplus(x)
    z = Transpose<perm = [0, 2, 1]>(soft)
    moved = Transpose<perm = [0, 2, 1]>(soft)
    e = Exp(moved)
    back = Transpose<perm = [0, 2, 1]>(e)
    y = MatMul(back, w)
}"""


def _model(text: str) -> ir.Model:
    proto = onnx.parser.parse_model(text)
    if "w" in {name for node in proto.graph.node for name in node.input}:
        weight = np.random.default_rng(0).standard_normal((16, 5)).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


def _run(model: ir.Model, x: np.ndarray) -> np.ndarray:
    """ONNX's own evaluator: ONNX Runtime's CPU computes float16 nodes in float32 and would hide an overflow."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    with np.errstate(all="ignore"):
        return onnx.reference.ReferenceEvaluator(proto).run(None, {"x": x})[0]


def _x() -> np.ndarray:
    return np.random.default_rng(5).standard_normal((2, 6, 16)).astype(np.float32)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(SOFTPLUS, id="softplus written out"),
        pytest.param(LAYER_NORM, id="a layer norm written out"),
        pytest.param(NORM, id="a norm of large activations"),
    ],
)
def test_large_activations_need_the_kept_operators(text: str) -> None:
    """With the list of kept operators emptied, the same graph overflows: the list is what holds it."""
    reference = _run(_model(text), _x())
    kept, all_half = _model(text), _model(text)
    CastPrecision(to="fp16")(kept)
    CastPrecision(to="fp16", keep=frozenset())(all_half)
    assert difference(reference, _run(kept, _x())).max_abs_over_std <= 1e-2
    assert not difference(reference, _run(all_half, _x())).max_abs_over_std <= 1


def test_what_only_moves_values_between_kept_operators_is_kept_too() -> None:
    model = _model(LINEAR)
    result = CastPrecision(to="fp16")(model)
    types = {node.outputs[0].name: node.outputs[0].dtype for node in model.graph}
    assert types["moved"] == ir.DataType.FLOAT
    assert types["back"] == ir.DataType.FLOAT16
    assert set(result.applied[0].where) == {"Transpose", "MatMul"} or len(result.applied[0].where) == 3
    assert [value.dtype for value in model.graph.outputs] == [ir.DataType.FLOAT] * 2
    assert {value.dtype for value in model.graph.initializers.values()} == {ir.DataType.FLOAT16}
    assert difference(_run(_model(LINEAR), _x()), _run(model, _x())).max_abs_over_std <= 1e-2


def test_half_precision_halves_the_weights() -> None:
    model = _model(LINEAR)
    before = sum(v.const_value.nbytes for v in model.graph.initializers.values())
    CastPrecision(to="fp16")(model)
    assert sum(v.const_value.nbytes for v in model.graph.initializers.values()) * 2 == before


def test_a_subgraph_stays_float32_with_what_it_captures() -> None:
    text = """
    <ir_version: 9, opset_import: ["": 20]>
    net (float[2, 6, 16] x, bool c) => (float[2, 6, 16] y) {
        r = Relu(x)
        y = If (c) <
            then_branch = yes () => (float[2, 6, 16] a) { a = Abs(r) },
            else_branch = no () => (float[2, 6, 16] b) { b = Neg(r) }
        >
    }"""
    model = _model(text)
    CastPrecision(to="fp16")(model)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    relu = next(node for node in model.graph if node.op_type == "Relu")
    assert relu.outputs[0].dtype == ir.DataType.FLOAT16
    inner = next(node for node in model.graph.all_nodes() if node.op_type == "Abs")
    assert inner.inputs[0].dtype == ir.DataType.FLOAT


def test_bfloat16_is_written_as_such() -> None:
    model = _model(LINEAR)
    model.opset_imports[""] = 22
    CastPrecision(to="bf16")(model)
    assert model.graph.initializers["w_bfloat16"].dtype == ir.DataType.BFLOAT16


def test_a_value_without_a_type_is_refused() -> None:
    model = _model(LINEAR)
    next(iter(model.graph)).outputs[0].type = None
    with pytest.raises(GraphError, match="the type of soft is unknown"):
        CastPrecision(to="fp16")(model)


def test_the_list_names_what_the_design_asks_for() -> None:
    assert {"LayerNormalization", "Softplus", "Exp", "CumSum", "ReduceL2"} <= KEPT
