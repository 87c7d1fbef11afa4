"""Which constant of one graph stands where a constant of another does, for two graphs that compute the same network.

Every value gets a fingerprint of what computes it: operator types, the shapes of constants, the position among the
graph inputs; operands of Add and Mul in any order. Two graphs with equal fingerprints are walked side by side from their
outputs, which pairs their constants. Names play no part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.reparam.matching import is_constant

__all__ = ["paired_constants"]

_COMMUTATIVE = ("Add", "Mul", "Sum")


def paired_constants(first: ir.Graph, second: ir.Graph) -> list[tuple[ir.Value, ir.Value]]:
    """Constants of both graphs that stand in the same place.

    Raises:
        GraphError: the graphs do not have the same structure.
    """
    left, right = _fingerprints(first), _fingerprints(second)
    if [left[value] for value in first.outputs] != [right[value] for value in second.outputs]:
        raise GraphError("the merged graph", f"it is not built like the deploy form: {_difference(first, second)}")
    pairs: dict[ir.Value, ir.Value] = {}
    todo = list(zip(first.outputs, second.outputs, strict=True))
    seen: set[tuple[ir.Value, ir.Value]] = set()
    while todo:
        a, b = todo.pop()
        if (a, b) in seen:
            continue
        seen.add((a, b))
        if is_constant(a):
            pairs.setdefault(b, a)
            continue
        node, other = a.producer(), b.producer()
        if node is not None and other is not None:
            todo.extend(zip(_operands(node, left), _operands(other, right), strict=True))
    return [(ours, theirs) for theirs, ours in pairs.items()]


def _operands(node: ir.Node, fingerprints: dict[ir.Value, int]) -> list[ir.Value]:
    values = [value for value in node.inputs if value is not None]
    return sorted(values, key=fingerprints.__getitem__) if node.op_type in _COMMUTATIVE else values


def _fingerprints(graph: ir.Graph) -> dict[ir.Value, int]:
    found: dict[ir.Value, int] = {value: hash(("input", place)) for place, value in enumerate(graph.inputs)}
    for node in graph:
        for value in node.inputs:
            if value is not None and value not in found:
                found[value] = hash(("constant", *_shape(value)))
        operands = [0 if value is None else found[value] for value in node.inputs]
        if node.op_type in _COMMUTATIVE:
            operands.sort()
        for place, value in enumerate(node.outputs):
            found[value] = hash((node.domain, node.op_type, place, *operands))
    return found


def _shape(value: ir.Value) -> Iterator[int]:
    """The constant's shape without leading ones, which broadcasting adds anyway."""
    tensor = ir.convenience.get_const_tensor(value)
    sizes = () if tensor is None else tensor.shape.numpy()
    leading = True
    for size in sizes:
        leading = leading and size == 1
        if not leading:
            yield size


def _difference(first: ir.Graph, second: ir.Graph) -> str:
    ours, theirs = (Counter(node.op_type for node in graph) for graph in (first, second))
    more = ", ".join(f"{count} {kind} more" for kind, count in (ours - theirs).items())
    fewer = ", ".join(f"{count} {kind} fewer" for kind, count in (theirs - ours).items())
    return "; ".join(filter(None, (more, fewer))) or "the same operators, wired otherwise"
