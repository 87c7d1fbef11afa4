"""A part of a graph that computes with channels last, between a Transpose into that layout and one out of it.

    x [N, C, ...] -- Transpose --> [N, ..., C]  region  [N, ..., C] -- Transpose --> [N, C, ...]

The region is whatever hangs together by channels-last tensors. It can be rewritten when each of its nodes means the
same in the other layout: elementwise operators (constants re-ordered), MatMul by a matrix (a 1x1 Conv), and reductions
that keep their axes (axes re-numbered).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

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
        shared: those of them that another region reads too, and that stay.
        nodes: what is between, in topological order.
        exit: the Transpose out of it.
        rank: of its tensors.
    """

    entries: tuple[ir.Node, ...]
    shared: tuple[ir.Node, ...]
    nodes: tuple[ir.Node, ...]
    exit: ir.Node
    rank: int


def to_last(rank: int) -> tuple[int, ...]:
    """The permutation from channels first to channels last."""
    return (0, *range(2, rank), 1)


def to_first(rank: int) -> tuple[int, ...]:
    """The permutation from channels last to channels first."""
    return (0, rank - 1, *range(1, rank - 1))


def regions(graph: ir.Graph) -> Iterator[tuple[tuple[ir.Node, ...], Region | Decline]]:
    """Every region of the graph, or the reason why one with a linear in it has to stay; and the nodes to name."""
    seen: set[ir.Node] = set()
    for node in tuple(graph):
        if node.graph is None or node in seen or not _transposes(node, to_last):
            continue
        part = _grow(node)
        seen.update(part.entries)
        linear = _linear_behind(node)
        if not part.exits and linear is not None:
            yield (node, linear), next(iter(part.strange.values()), Decline("the channels-last part has no way out"))
        for way_out in part.exits:
            try:
                region = _upstream(way_out, part)
            except Decline as no:
                if linear is not None:
                    yield (node, linear), no
            else:
                yield (*region.entries, *region.nodes), region


def _transposes(node: ir.Node, permutation: Callable[[int], tuple[int, ...]]) -> bool:
    perm = tuple(node.attributes.get_ints("perm", ())) if node.op_type == "Transpose" and is_standard(node) else ()
    return len(perm) > 2 and perm == permutation(len(perm))


def _linear_behind(entry: ir.Node) -> ir.Node | None:
    """The first linear that reads the entry's result, elementwise operators aside."""
    seen: set[ir.Node] = set()
    todo = [entry]
    while todo:
        for reader in todo.pop().outputs[0].consumers():
            if _is_linear(reader):
                return reader
            if reader not in seen and (reader.op_type in UNARY or reader.op_type in BINARY):
                seen.add(reader)
                todo.append(reader)
    return None


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Everything connected to an entry by channels-last tensors, each node with its place in the graph.

    Attributes:
        strange: nodes that touch it and do not mean the same with channels first, and why.
    """

    entries: dict[ir.Node, None] = field(default_factory=dict)
    exits: dict[ir.Node, None] = field(default_factory=dict)
    inside: dict[ir.Node, int] = field(default_factory=dict)
    strange: dict[ir.Node, Decline] = field(default_factory=dict)

    def __contains__(self, node: ir.Node) -> bool:
        return any(node in nodes for nodes in (self.entries, self.exits, self.inside, self.strange))


def _grow(entry: ir.Node) -> _Part:
    rank, part = len(entry.attributes.get_ints("perm", ())), _Part()
    places = {node: place for place, node in enumerate(entry.graph or ())}
    todo = [(entry, True)]
    while todo:
        node, upstream = todo.pop()  # with three axes both Transposes look alike: what counts is where we came from
        if node in part:
            continue
        if not upstream and _transposes(node, to_first):
            part.exits[node] = None
            continue
        if upstream and _transposes(node, to_last):
            part.entries[node] = None
        else:
            reason = _strange(node, rank, entry)
            if reason:
                part.strange[node] = Decline(reason)
                continue
            part.inside[node] = places[node]
            todo.extend((producer, True) for producer in _producers(node) if producer is not None)
        todo.extend((reader, False) for reader in node.outputs[0].consumers())
    return part


def _upstream(way_out: ir.Node, part: _Part) -> Region:
    """What leads to one way out and to nothing else; entries may."""
    entries: dict[ir.Node, None] = {}
    nodes: set[ir.Node] = set()
    todo = [way_out]
    while todo:
        node = todo.pop()
        for producer in _producers(node):
            if producer is None:
                raise Decline(f"{label(node)} reads what comes channels last without a Transpose")
            if producer in part.strange:
                raise part.strange[producer]
            if producer in part.entries:
                entries[producer] = None
            elif producer not in nodes:
                nodes.add(producer)
                todo.append(producer)
    own = {way_out, *nodes}
    for node in nodes:
        _check_unseen(node, own, part)
    return Region(
        entries=tuple(entries),
        shared=tuple(node for node in entries if _is_seen(node.outputs[0], own)),
        nodes=tuple(sorted(nodes, key=part.inside.__getitem__)),
        exit=way_out,
        rank=len(way_out.attributes.get_ints("perm", ())),
    )


def _check_unseen(node: ir.Node, own: set[ir.Node], part: _Part) -> None:
    """Decline where something outside of the region reads a result that would have channels first."""
    result = node.outputs[0]
    if result.is_graph_output():
        raise Decline(f"'{result.name}', channels last, is a graph output")
    for reader in result.consumers():
        if reader in part.strange:
            raise part.strange[reader]
        if reader not in own:
            raise Decline(f"'{result.name}', channels last, is also read by {label(reader)}")


def _is_seen(value: ir.Value, own: set[ir.Node]) -> bool:
    return value.is_graph_output() or not own.issuperset(value.consumers())


def _producers(node: ir.Node) -> Iterator[ir.Node | None]:
    """What makes the node's inputs; None for an input of the graph."""
    return (value.producer() for value in node.inputs if value is not None and not is_constant(value))


def _strange(node: ir.Node, rank: int, entry: ir.Node) -> str:
    """Why a node does not mean the same with channels first; empty where it does."""
    if node.graph is not entry.graph:
        return f"{label(node)}, which reads channels last, is in the body of an If or a Loop"
    same = node.op_type in UNARY or node.op_type in BINARY or _keeps_axes(node) or _is_linear(node)
    if not is_standard(node) or not same:
        return f"{label(node)} ({node.op_type}) reads channels last and has no channels-first form here"
    shape = node.outputs[0].shape
    if shape is None or shape.rank() != rank:
        return f"the result of {label(node)} is not known to have rank {rank}"
    return ""


def _keeps_axes(node: ir.Node) -> bool:
    if node.op_type not in REDUCTIONS or not node.attributes.get_int("keepdims", 1):
        return False
    return "axes" in node.attributes or (len(node.inputs) > 1 and is_constant(node.inputs[1]))


def _is_linear(node: ir.Node) -> bool:
    weight = node.inputs[1] if node.op_type == "MatMul" else None
    tensor = None if weight is None else ir.convenience.get_const_tensor(weight)
    return tensor is not None and len(tensor.shape.numpy()) == 2
