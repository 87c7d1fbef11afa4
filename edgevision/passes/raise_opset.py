"""A graph in the operators of a later opset, by the standard's own converter.

The bodies of our operators, Q/DQ with a scale a channel and the targets' lowerings are written for one opset; files come
in all. The converter works on a serialized copy: weights do not go through it, they wait beside and come back by name.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx.version_converter import ConvertError, convert_version

__all__ = ["raised"]

_FILE_FORMAT = 9  # the oldest version of the file format that knows opset 20
_SMALL = 16  # elements; the axes, sizes and limits that operators once had as attributes are smaller


def raised(model: ir.Model, opset: int) -> ir.Model | None:
    """A copy of `model` at `opset`; None where the converter has no way there, or does not look: into functions."""
    if model.functions:
        return None
    lean = model.clone()
    weights = _set_aside(lean)
    try:
        converted: ir.Model = ir.from_proto(convert_version(ir.to_proto(lean), opset))
    except (ConvertError, RuntimeError, ValueError):
        return None
    graph = converted.graph
    for value in [value for value in graph.inputs if value.name in weights]:
        graph.inputs.remove(value)
        value.const_value = weights[value.name or ""]
        graph.register_initializer(value)
    converted.ir_version = max(converted.ir_version, _FILE_FORMAT)
    return converted


def _set_aside(model: ir.Model) -> dict[str, ir.TensorProtocol]:
    """Turn the large initializers of `model` into inputs; returns what they hold, by name."""
    graph = model.graph
    weights: dict[str, ir.TensorProtocol] = {}
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or tensor.size < _SMALL or value.is_graph_input() or value.is_graph_output():
            continue
        weights[name] = tensor
        del graph.initializers[name]
        value.const_value = None
        value.type, value.shape = ir.TensorType(tensor.dtype), ir.Shape(tensor.shape.numpy())
        graph.inputs.append(value)
    return weights
