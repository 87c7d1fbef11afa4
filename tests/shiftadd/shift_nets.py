"""A small network with every kind of layer that can be shifted, and some that cannot."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.stages.samples import run_graph

__all__ = ["answers", "image", "network"]


def network(scale: float = 0.2, seed: int = 0, *, spoil: float | None = None) -> ir.Model:
    """Image [1, 3, 8, 8] -> depthwise and strided Conv, Relu, tokens, MatMul + Add, MatMul of two maps, Gemm -> [1, 4]."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> NDArray[np.float32]:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    arrays = {
        "depthwise_w": normal(3, 1, 3, 3),
        "conv_w": normal(8, 3, 3, 3),
        "conv_b": normal(8),
        "linear_w": normal(8, 6),
        "linear_b": normal(6),
        "head_w": normal(4, 96),
        "head_b": normal(4),
    }
    if spoil is not None:
        arrays["linear_w"][1, 2] = spoil
    ints = {"tokens": [1, 8, 16], "rows": [1, 96]}
    node = onnx.helper.make_node
    nodes = [
        node("Conv", ["image", "depthwise_w"], ["a"], "depthwise", group=3, pads=[1, 1, 1, 1]),
        node("Conv", ["a", "conv_w", "conv_b"], ["b"], "conv", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", ["b"], ["c"], "relu"),
        node("Reshape", ["c", "tokens"], ["d"], "reshape"),
        node("Transpose", ["d"], ["e"], "turn", perm=[0, 2, 1]),
        node("MatMul", ["e", "linear_w"], ["f"], "linear"),
        node("Add", ["f", "linear_b"], ["g"], "linear_bias"),
        node("Transpose", ["g"], ["h"], "turn_again", perm=[0, 2, 1]),
        node("MatMul", ["g", "h"], ["i"], "attention"),
        node("MatMul", ["i", "g"], ["j"], "attended"),
        node("Reshape", ["j", "rows"], ["k"], "flatten"),
        node("Gemm", ["k", "head_w", "head_b"], ["logits"], "head", transB=1),
    ]
    tensor = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "net",
        [tensor("image", onnx.TensorProto.FLOAT, [1, 3, 8, 8])],
        [tensor("logits", onnx.TensorProto.FLOAT, [1, 4])],
        [onnx.numpy_helper.from_array(a, n) for n, a in arrays.items()]
        + [onnx.numpy_helper.from_array(np.array(v), n) for n, v in ints.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    return ir.from_proto(onnx.shape_inference.infer_shapes(model))


def image(seed: int = 1) -> NDArray[np.float32]:
    """One input."""
    return np.random.default_rng(seed).standard_normal((1, 3, 8, 8)).astype(np.float32)


def answers(model: ir.Model, folder: object, seed: int = 1) -> NDArray[np.float32]:
    """The model's output for `image(seed)`, in ONNX Runtime through the bodies."""
    (outputs,) = run_graph(model.clone(), [{"image": image(seed)}], folder)  # type: ignore[arg-type]
    (output,) = outputs.values() if isinstance(outputs, dict) else outputs
    return np.asarray(output)
