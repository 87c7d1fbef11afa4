"""A part of a graph that computes with channels last, between a Transpose into that layout and one out of it.

    x [N, C, ...] -- Transpose --> [N, ..., C]  region  [N, ..., C] -- Transpose --> [N, C, ...]

The region is whatever hangs together by channels-last tensors. It can be rewritten when each of its nodes means the
same in the other layout: elementwise operators (constants re-ordered), MatMul by a matrix (a 1x1 Conv), and reductions
that keep their axes (axes re-numbered).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from edgevision.reparam.matching import Decline, is_constant, is_standard, label

__all__ = ["BINARY", "REDUCTIONS", "UNARY", "Region", "regions", "to_first", "to_last"]

# fmt: off
UNARY = frozenset({
    "Abs", "Ceil", "Celu", "Clip", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity",
    "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Softplus", "Softsign",
    "Sqrt", "Swish", "Tanh", "ThresholdedRelu",
})
BINARY = frozenset({
    "Add", "Sub", "Mul", "Div", "Pow", "Max", "Min",
})
REDUCTIONS = frozenset({
    "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare",
})
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Region:
    """Nodes that compute with channels last.

    Attributes:
        entries: the Transposes into the layout.
        nodes: what is between, in topological order.
        exit: the Transpose out of it.
        rank: of its tensors.
    """

    entries: tuple[ir.Node, ...]
    nodes: tuple[ir.Node, ...]
    exit: ir.Node
    rank: int


def to_last(rank: int) -> tuple[int, ...]:
    """The permutation from channels first to channels last."""
    return (0, *range(2, rank), 1)


def to_first(rank: int) -> tuple[int, ...]:
    """The permutation from channels last to channels first."""
    return (0, rank - 1, *range(1, rank - 1))


def regions(graph: ir.Graph) -> Iterator[tuple[ir.Node, Region | Decline | None]]:
    """Every entry of the graph with its region, the reason why it has to stay, or None where it feeds no linear."""
    seen: set[ir.Node] = set()
    for node in tuple(graph):
        if node.graph is None or node in seen or not _transposes(node, to_last):
            continue
        try:
            region = _grow(node)
        except Decline as no:
            yield node, no if _reaches_linear(node) else None
            continue
        seen.update(region.entries)
        yield node, region


def _transposes(node: ir.Node, permutation: Callable[[int], tuple[int, ...]]) -> bool:
    perm = tuple(node.attributes.get_ints("perm", ())) if node.op_type == "Transpose" and is_standard(node) else ()
    return len(perm) > 2 and perm == permutation(len(perm))


def _reaches_linear(entry: ir.Node) -> bool:
    """Whether a linear reads the entry's result, elementwise operators aside."""
    seen: set[ir.Node] = set()
    todo = [entry]
    while todo:
        for reader in todo.pop().outputs[0].consumers():
            if _is_linear(reader):
                return True
            if reader not in seen and (reader.op_type in UNARY or reader.op_type in BINARY):
                seen.add(reader)
                todo.append(reader)
    return False


def _grow(entry: ir.Node) -> Region:
    """Everything connected to the entry by channels-last tensors."""
    rank = len(entry.attributes.get_ints("perm", ()))
    entries: dict[ir.Node, None] = {}
    exits: dict[ir.Node, None] = {}
    inside: dict[ir.Node, None] = {}
    todo = [(entry, True)]
    while todo:
        node, upstream = todo.pop()  # with three axes both Transposes look alike: what counts is where we came from
        if node in entries or node in inside or node in exits:
            continue
        if not upstream and _transposes(node, to_first):
            exits[node] = None
            continue
        if upstream and _transposes(node, to_last):
            entries[node] = None
        else:
            if node.graph is not entry.graph:
                raise Decline(f"{label(node)}, which reads channels last, is in the body of an If or a Loop")
            _check(node, rank)
            inside[node] = None
            todo.extend((producer, True) for producer in _producers(node))
        result = node.outputs[0]
        if result.is_graph_output():
            raise Decline(f"'{result.name}', channels last, is a graph output")
        todo.extend((reader, False) for reader in result.consumers())
    if len(exits) != 1:
        raise Decline(f"the channels-last part has {len(exits)} ways out")
    order = {node: place for place, node in enumerate(entry.graph or ()) if node in inside}
    return Region(
        entries=tuple(entries), nodes=tuple(sorted(inside, key=order.__getitem__)), exit=next(iter(exits)), rank=rank
    )


def _producers(node: ir.Node) -> Iterator[ir.Node]:
    for value in node.inputs:
        if value is None or is_constant(value):
            continue
        producer = value.producer()
        if producer is None:
            raise Decline(f"'{value.name}' enters the channels-last part without a Transpose")
        yield producer


def _check(node: ir.Node, rank: int) -> None:
    """Decline a node that does not mean the same with channels first."""
    shape = node.outputs[0].shape
    same = node.op_type in UNARY or node.op_type in BINARY or _keeps_axes(node) or _is_linear(node)
    if not is_standard(node) or not same:
        raise Decline(f"{label(node)} ({node.op_type}) reads channels last and has no channels-first form here")
    if shape is None or shape.rank() != rank:
        raise Decline(f"the result of {label(node)} is not known to have rank {rank}")


def _keeps_axes(node: ir.Node) -> bool:
    if node.op_type not in REDUCTIONS or not node.attributes.get_int("keepdims", 1):
        return False
    return "axes" in node.attributes or (len(node.inputs) > 1 and is_constant(node.inputs[1]))


def _is_linear(node: ir.Node) -> bool:
    weight = node.inputs[1] if node.op_type == "MatMul" else None
    tensor = None if weight is None else ir.convenience.get_const_tensor(weight)
    return tensor is not None and len(tensor.shape.numpy()) == 2
