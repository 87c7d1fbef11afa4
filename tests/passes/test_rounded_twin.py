"""The float32 twin of a half-precision graph rounds exactly where that stores a half tensor, and nowhere else."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from edgevision.passes.cast_precision import CastPrecision
from edgevision.passes.rounded_twin import cast_with_twin


def _model() -> ir.Model:
    """y = exp(x * w) + b: the product is half, exp stays float32, the sum is half again."""
    random = np.random.default_rng(5)
    x = ir.Value(name="x", shape=ir.Shape([4, 6]), type=ir.TensorType(ir.DataType.FLOAT))
    graph = ir.Graph([x], [], nodes=[], opset_imports={"": 20}, name="net")
    weights = []
    for name in ("w", "b"):
        tensor = ir.tensor(random.standard_normal(6).astype(np.float32), name=name)
        value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
        graph.register_initializer(value)
        weights.append(value)
    product = ir.node("Mul", [x, weights[0]], name="product")
    power = ir.node("Exp", product.outputs, name="power")
    total = ir.node("Add", [power.outputs[0], weights[1]], name="total")
    for node in (product, power, total):
        node.outputs[0].shape, node.outputs[0].type = x.shape, x.type
        node.outputs[0].name = f"{node.name}_out"
        graph.append(node)
    graph.outputs.append(total.outputs[0])
    return ir.Model(graph, ir_version=10)


def _run(model: ir.Model, x: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, {"x": x})[0]
    return result


@pytest.mark.parametrize("to", ["fp16", "bf16"])
def test_it_rounds_where_the_half_graph_does_and_nowhere_else(to: str) -> None:
    model = _model()
    w, b = (model.graph.initializers[name].const_value.numpy() for name in ("w", "b"))
    half = (ir.DataType.FLOAT16 if to == "fp16" else ir.DataType.BFLOAT16).numpy()

    def rounded(array: np.ndarray) -> np.ndarray:
        return array.astype(half).astype(np.float32)

    twin = cast_with_twin(model, CastPrecision(to=to))
    x = np.random.default_rng(6).standard_normal((4, 6)).astype(np.float32)
    product = rounded(rounded(x) * rounded(w))
    expected = rounded(rounded(np.exp(product)) + rounded(b))
    np.testing.assert_allclose(_run(twin, x), expected, rtol=1e-6)
    assert np.abs(_run(_model(), x) - expected).max() > 1e-4, "the rounding must show"


def test_its_arithmetic_is_float32_and_its_outputs_keep_their_names() -> None:
    twin = cast_with_twin(_model(), CastPrecision(to="fp16"))
    kinds = {node.op_type: node.inputs[0].dtype for node in twin.graph if node.op_type != "Cast"}
    assert kinds == dict.fromkeys(("Mul", "Exp", "Add"), ir.DataType.FLOAT)
    assert [value.name for value in twin.graph.outputs] == ["total_out"]
    assert twin.graph.outputs[0].dtype == ir.DataType.FLOAT
