"""The linear operators that lead from a tensor to another, and where that tensor's channels lie.

    x --> AveragePool --> Conv --> Mul --> y        y is a linear function of three tensors, x the furthest

Convolutions, pools, linears and affines are passed; anything else ends the path.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from edgevision.reparam.affine import ChannelAxis, affine_input
from edgevision.reparam.linear_op import LINEAR_TYPES, linear_start
from edgevision.reparam.matching import is_constant, is_standard, removable

__all__ = ["Path", "channel_axis", "is_pool", "paths_to"]


@dataclass(frozen=True, kw_only=True)
class Path:
    """The operators between `source` and a value, in order; none where the value is the source."""

    source: ir.Value
    nodes: tuple[ir.Node, ...] = ()

    def require_unseen(self) -> None:
        """Decline where something beside the path reads a result on it, the last one aside."""
        for node, reader in zip(self.nodes, self.nodes[1:], strict=False):
            removable(node.outputs[0], reader)


def paths_to(value: ir.Value) -> tuple[Path, ...]:
    """Every path of linear operators that ends at `value`, the shortest first; none where it is made by another."""
    here, nodes, found = value, tuple[ir.Node, ...](), list[Path]()
    while (producer := here.producer()) is not None:
        start = linear_start(here)
        if start is not None:
            before, nodes = start.inputs[0], ((start,) if start is producer else (start, producer)) + nodes
        else:
            before, nodes = producer.inputs[0] if is_pool(producer) else affine_input(producer), (producer, *nodes)
        if before is None or is_constant(before):
            break
        found.append(Path(source=before, nodes=nodes))
        here = before
    return tuple(found)


def is_pool(node: ir.Node) -> bool:
    """Whether the node averages."""
    return node.op_type == "AveragePool" and is_standard(node)


def channel_axis(source: ir.Value, paths: Iterable[Path]) -> ChannelAxis | None:
    """Where the channels of `source` lie: from an operator with weights that reads it, or from its shape."""
    rank = None if source.shape is None else source.shape.rank()
    for first in (path.nodes[0] for path in paths if path.nodes):
        weight = first.inputs[1] if first.op_type in LINEAR_TYPES else None
        tensor = None if weight is None else ir.convenience.get_const_tensor(weight)
        if tensor is None:
            continue
        shape = tensor.shape.numpy()
        if first.op_type == "ConvTranspose":
            return ChannelAxis(channels=shape[0], from_end=1 - len(shape), rank=len(shape))
        if first.op_type == "Conv":
            channels = shape[1] * first.attributes.get_int("group", 1)
            return ChannelAxis(channels=channels, from_end=1 - len(shape), rank=len(shape))
        transposed = first.op_type == "Gemm" and bool(first.attributes.get_int("transB"))
        return ChannelAxis(channels=shape[1 if transposed else 0], from_end=-1, rank=rank)
    dims = () if source.shape is None else tuple(source.shape)
    if len(dims) < 3 or not isinstance(dims[1], int):
        return None
    return ChannelAxis(channels=dims[1], from_end=1 - len(dims), rank=len(dims))
