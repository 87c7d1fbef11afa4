"""Reading a graph safely: what is constant, what may be removed, and how a fold says no.

Three outcomes of looking at a place: it is not this equation's business (`None`), it matches and may not be touched
(`Decline`, whose reason reaches the user), or it matches.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

__all__ = [
    "Decline",
    "Floats",
    "attributes_of",
    "constant_array",
    "data_inputs",
    "is_constant",
    "is_standard",
    "label",
    "labels",
    "removable",
    "weight_array",
]

Floats = NDArray[np.float64]
_FOLDABLE = {ir.DataType.FLOAT, ir.DataType.DOUBLE}


class Decline(Exception):  # noqa: N818 - not an error: the answer "no" with its reason
    """A place that matches an equation and must stay as it is."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def label(node: ir.Node) -> str:
    """The node's name, or its type and first output where it has none."""
    return node.name or f"{node.op_type}:{node.outputs[0].name}"


def labels(nodes: tuple[ir.Node, ...]) -> tuple[str, ...]:
    """`label` of each node."""
    return tuple(label(node) for node in nodes)


def attributes_of(node: ir.Node) -> dict[str, int | float | str | tuple[int, ...]]:
    """Plain values of the node's attributes."""
    return {name: attr.value for name, attr in node.attributes.items()}


def is_standard(node: ir.Node) -> bool:
    """Whether the node is an operator of the ONNX standard, not of another domain."""
    return node.domain in ("", "ai.onnx")


def is_constant(value: ir.Value | None) -> bool:
    """Whether the value carries its own number: an initializer or a Constant node's output."""
    return value is not None and ir.convenience.get_const_tensor(value) is not None


def data_inputs(node: ir.Node) -> tuple[ir.Value, ...]:
    """The inputs that are not constants."""
    return tuple(value for value in node.inputs if value is not None and not is_constant(value))


def constant_array(value: ir.Value) -> NDArray[np.generic]:
    """The number a constant carries; declines where the caller of the model may replace it."""
    tensor = ir.convenience.get_const_tensor(value)
    if tensor is None:
        producer = value.producer()
        source = "a graph input" if producer is None else f"computed by {producer.op_type}"
        raise Decline(f"'{value.name}' is {source}, not a constant")
    if value.is_graph_input():
        raise Decline(f"'{value.name}' is a graph input: whoever runs the model may replace it")
    return np.asarray(tensor.numpy())


def weight_array(value: ir.Value) -> Floats:
    """A constant of a linear operator in float64; declines what cannot be merged without a second rounding."""
    array = constant_array(value)
    dtype = ir.DataType.from_numpy(array.dtype)
    if dtype not in _FOLDABLE:
        raise Decline(f"'{value.name}' is {dtype.name.lower()}: merging would round it twice, merge before converting")
    if not np.isfinite(array).all():
        raise Decline(f"'{value.name}' holds NaN or infinity")
    return np.asarray(array, np.float64)


def removable(value: ir.Value, reader: ir.Node) -> None:
    """Decline unless `reader` is the only thing that sees `value`."""
    if value.is_graph_output():
        raise Decline(f"'{value.name}' is a graph output")
    others = [node for node in value.consumers() if node is not reader]
    if others:
        raise Decline(f"'{value.name}' is also read by {label(others[0])}")
