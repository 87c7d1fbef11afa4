"""Parts without elements go: Split's outputs of size 0 that only a Concat reads, and Concat's inputs of size 0.

A network whose channel ratios leave nothing for a branch is written down with a branch of no channels. Core ML has no
empty tensors at all, and everywhere else they are nodes for nothing.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

__all__ = ["drop_empty_parts"]

#: The opset from which on Split takes its sizes as an input.
_SIZES_AS_INPUT = 13


def drop_empty_parts(model: ir.Model) -> bool:
    """Rewrite in place; returns whether any node changed."""
    joined = [_shorten_concat(node) for node in model.graph if node.op_type == "Concat" and node.domain == ""]
    if model.opset_imports.get("", 0) < _SIZES_AS_INPUT:
        return any(joined)
    splits = [node for node in model.graph if node.op_type == "Split" and node.domain == ""]
    shortened = [_shorten_split(model.graph, node) for node in splits]
    return any(joined) or any(shortened)


def _size(value: ir.Value | None, axis: int) -> int | None:
    """Of `value` along `axis`, where it is known."""
    size = None if value is None or value.shape is None else value.shape[axis]
    return size if isinstance(size, int) else None


def _shorten_concat(node: ir.Node) -> bool:
    axis = node.attributes.get_int("axis", 0)
    kept = [value for value in node.inputs if _size(value, axis) != 0]
    if not kept or len(kept) == len(node.inputs):
        return False  # nothing to drop, or the result itself is empty
    for index in range(len(node.inputs)):
        node.replace_input_with(index, kept[index] if index < len(kept) else None)
    node.resize_inputs(len(kept))
    return True


def _shorten_split(graph: ir.Graph, node: ir.Node) -> bool:
    axis = node.attributes.get_int("axis", 0)
    sizes = [_size(value, axis) for value in node.outputs]
    kept = [index for index, value in enumerate(node.outputs) if sizes[index] != 0 or value.uses()]
    known = None not in sizes and not any(value.is_graph_output() for value in node.outputs)
    if not known or not kept or len(kept) == len(sizes):
        return False
    parts = ir.tensor(np.array([sizes[index] for index in kept], np.int64), name=f"{node.outputs[0].name}_sizes")
    lengths = ir.Value(
        name=parts.name, shape=ir.Shape([len(kept)]), type=ir.TensorType(ir.DataType.INT64), const_value=parts
    )
    graph.register_initializer(lengths)
    shorter = ir.node("Split", [node.inputs[0], lengths], {"axis": axis}, num_outputs=len(kept), name=node.name)
    graph.insert_before(node, shorter)
    for new, index in zip(shorter.outputs, kept, strict=True):
        old = node.outputs[index]
        new.type, new.shape = old.type, old.shape
        old.replace_all_uses_with(new)
        new.name, old.name = old.name, None
    graph.remove(node, safe=True)
    return True
