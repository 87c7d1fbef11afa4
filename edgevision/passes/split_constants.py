"""Split(constant) → its parts as constants: the one constant expression that onnxscript's folder leaves alone."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

__all__ = ["split_constants"]


def split_constants(model: ir.Model) -> bool:
    """Rewrite in place; returns whether any Split was folded."""
    changed = False
    for node in list(model.graph):
        if node.op_type == "Split" and node.domain == "" and _fold(model, node):
            changed = True
    return changed


def _fold(model: ir.Model, node: ir.Node) -> bool:
    source = node.inputs[0]
    whole = None if source is None else ir.convenience.get_const_tensor(source)
    if whole is None or any(v.is_graph_output() for v in node.outputs):
        return False
    axis = node.attributes.get_int("axis", 0)
    parts = _parts(node, whole.numpy(), axis)
    if parts is None:
        return False
    for output, part in zip(node.outputs, parts, strict=True):
        tensor = ir.tensor(np.ascontiguousarray(part), name=output.name)
        value = ir.Value(
            name=output.name, shape=ir.Shape(part.shape), type=ir.TensorType(whole.dtype), const_value=tensor
        )
        output.replace_all_uses_with(value)
        output.name = None
        model.graph.register_initializer(value)
    model.graph.remove(node, safe=True)
    return True


def _parts(node: ir.Node, whole: np.ndarray, axis: int) -> list[np.ndarray] | None:
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        sizes = ir.convenience.get_const_tensor(node.inputs[1])
        return None if sizes is None else np.split(whole, np.cumsum(sizes.numpy())[:-1], axis)
    return np.array_split(whole, len(node.outputs), axis) if whole.shape[axis] % len(node.outputs) == 0 else None
