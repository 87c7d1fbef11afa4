"""Graphs that cannot be quantized are refused by name before any data is read."""

from __future__ import annotations

import onnx_ir as ir

from edgevision.errors import GraphError

__all__ = ["admit"]

_QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger"})
#: DequantizeLinear with a scale per channel.
_LEAST_OPSET = 13


def admit(model: ir.Model) -> None:
    """Raise unless `model` is a float32 graph of one size.

    Raises:
        GraphError: it is quantized already, is not float32, has open dimensions besides the batch, or an old opset.
    """
    for node in model.graph:
        if node.op_type in _QUANTIZED:
            raise GraphError(
                f"node {node.name or node.op_type}",
                f"the graph is already quantized (it has a {node.op_type})",
                "quantize the float model it was made of, or compile this one as it is: `edgevision compile`",
            )
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        if value.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE):
            raise GraphError(f"tensor {value.name}", f"it is {value.dtype.name}", "quantize the float32 graph")
    for value in model.graph.inputs:
        open_dims = [axis for axis, dim in enumerate(value.shape or ()) if axis > 0 and not isinstance(dim, int)]
        if open_dims and value.name not in model.graph.initializers:
            raise GraphError(
                f"input {value.name}", f"its dimension {open_dims[0]} has no size", "give --input-size HxW"
            )
    opset = model.graph.opset_imports.get("", 0)
    if opset < _LEAST_OPSET:
        raise GraphError(
            "graph", f"opset {opset} has no scales per channel", f"export it with opset {_LEAST_OPSET} or later"
        )
