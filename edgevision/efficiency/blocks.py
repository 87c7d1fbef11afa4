"""Blocks: runs of kernels that a fused implementation could compute without memory between them.

A block ends where a single tensor is alive, so that nothing but it needs to be written: for a residual network these
are the residual blocks. Tensors that live for more than a quarter of a large graph (a skip from the head to the tail) are
not counted, or such a network had no blocks at all. A kernel without multiply-accumulates that stands alone between two
such places joins the block before it, as an activation joins its convolution.

A fused block moves what enters it, what leaves it, and its constants: a lower bound, since what is computed in between
must fit on the chip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from edgevision.efficiency.work import SEEN_THROUGH, Kernel, stored_bytes

__all__ = ["Block", "blocks_of"]

#: A tensor that lives longer than this part of the graph, and this many nodes, does not keep a block from ending.
LONG_LIFE, LONG_NODES = 0.25, 32


@dataclass(frozen=True, kw_only=True)
class Block:
    """Kernels that follow each other; `bytes` are those of the fused block."""

    kernels: Sequence[Kernel]
    bytes: int

    @property
    def ops(self) -> int:
        """Arithmetic operations of all of them."""
        return sum(kernel.ops for kernel in self.kernels)


def blocks_of(model: ir.Model, kernels: Sequence[Kernel]) -> tuple[Block, ...]:
    """The kernels of `model` in blocks, in the graph's order."""
    groups: list[list[Kernel]] = [[]]
    ends = _ends(model)
    by_node = {id(kernel.node): kernel for kernel in kernels}
    for index, node in enumerate(model.graph):
        kernel = by_node.get(id(node))
        if kernel is not None:
            groups[-1].append(kernel)
        if index in ends and groups[-1]:
            groups.append([])
    merged: list[list[Kernel]] = []
    for group in groups:
        if merged and not any(kernel.macs for kernel in group):
            merged[-1].extend(group)
        elif group:
            merged.append(group)
    return tuple(Block(kernels=group, bytes=_bytes(group)) for group in merged)


def _ends(model: ir.Model) -> set[int]:
    """Positions after which one tensor is alive, long-lived ones aside."""
    nodes = list(model.graph)
    position = {id(node): index for index, node in enumerate(nodes)}
    alive = [0] * len(nodes)
    for value in (v for node in nodes for v in node.outputs):
        users = [position[id(user)] for user, _ in value.uses() if id(user) in position]
        first = position[id(value.producer())]
        last = max(users, default=first) if not value.is_graph_output() else len(nodes) - 1
        if last - first <= max(LONG_LIFE * len(nodes), LONG_NODES) or value.is_graph_output():
            for index in range(first, last):
                alive[index] += 1
    return {index for index, count in enumerate(alive) if count <= 1}


def _bytes(group: Sequence[Kernel]) -> int:
    """What is read from outside the group, and what is read outside it; views and Q/DQ pairs are seen through."""
    inside = {id(kernel.node) for kernel in group}
    made = {id(v): v for kernel in group for v in kernel.node.outputs}
    read = {id(v): v for kernel in group for v in map(_origin, kernel.node.inputs) if v is not None}
    entering = [v for key, v in read.items() if key not in made]
    leaving = [v for v in made.values() if any(user is None or id(user) not in inside for user in _readers(v))]
    return sum(stored_bytes(v) for v in (*entering, *leaving))


def _origin(value: ir.Value | None) -> ir.Value | None:
    """The tensor whose contents a view or a Q/DQ pair shows."""
    while value is not None and (producer := value.producer()) is not None and producer.op_type in SEEN_THROUGH:
        value = producer.inputs[0] if producer.inputs else None
    return value


def _readers(value: ir.Value) -> Iterator[ir.Node | None]:
    """The kernels that read a tensor; None stands for who reads the graph's output."""
    if value.is_graph_output():
        yield None
    for user, _ in value.uses():
        if user.op_type in SEEN_THROUGH:
            yield from (reader for output in user.outputs for reader in _readers(output))
        else:
            yield user
