"""A shift inside a sum moves behind it, where the next linear operator can take it.

    W * ((a + t) + b)  =  W * ((a + b) + t)          t one number a channel

Global response normalization is the case at hand: gamma * (x N) + beta + x before a 1x1 convolution. Only done where
the operator behind the sum can take a shift, that is, where it does not pad with zeros; `affine_before_linear` then
folds it.

Declines: the shifted operand or the sum is a graph output or has another reader.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from edgevision.passes.graph_pass import Declined
from edgevision.reparam.affine import Affine, affine_input, read_affine
from edgevision.reparam.equations import Equation
from edgevision.reparam.linear_op import LinearOp, read_linear
from edgevision.reparam.matching import Decline, labels, removable
from edgevision.reparam.probing import probe_of
from edgevision.reparam.rewrite import Rewrite, Step, Weights
from edgevision.reparam.sum_tree import Leaf, SumTree, sum_trees

__all__ = ["EQUATION"]

_NAME = "shift_through_sum"


def _find(graph: ir.Graph) -> Iterator[Rewrite | Declined]:
    for tree in sum_trees(graph):
        leaf = next((leaf for leaf in tree.leaves if _may_shift(leaf)), None)
        node = None if leaf is None else leaf.value.producer()
        if leaf is None or node is None:
            continue
        try:
            rewrite = _match(tree, leaf, node)
        except Decline as no:
            yield Declined(where=labels((node, tree.root)), equation=_NAME, reason=no.reason)
        else:
            if rewrite is not None:
                yield rewrite


def _may_shift(leaf: Leaf) -> bool:
    node = leaf.value.producer()
    return node is not None and node.op_type in ("Add", "Sub") and affine_input(node) is not None


def _match(tree: SumTree, leaf: Leaf, node: ir.Node) -> Rewrite | None:
    total = tree.root.outputs[0]
    readers = total.consumers()
    op = read_linear(readers[0]) if len(readers) == 1 else None
    if op is None or op.x is not total or op.zero_padded():
        return None
    affine = read_affine(node, op.axis(output=False))
    if affine is None or (affine.scale != 1).any():
        return None
    removable(leaf.value, leaf.reader)
    removable(total, readers[0])
    shape = probe_of(op)
    probes = {(affine.x if operand is leaf else operand.value): shape for operand in tree.leaves}
    return Rewrite(equation=_NAME, old=(node, *tree.nodes), new=_moved(tree, leaf, affine, op), probes=probes)


def _moved(tree: SumTree, leaf: Leaf, affine: Affine, op: LinearOp) -> Step:
    """The operands added up in their order, the shift last."""
    total, *rest = ((affine.x if operand is leaf else operand.value, operand.negative) for operand in tree.leaves)
    result: ir.Value | Step = total[0]  # the first operand of nested sums is never subtracted
    for value, negative in rest:
        result = Step(op_type="Sub" if negative else "Add", inputs=(result, value), shape=tree.common_shape)
    axis = op.axis(output=False)
    shift = Weights(
        array=affine.shift.reshape(-1, *(1,) * (-axis.from_end - 1)),
        name=f"{leaf.value.name}_shift",
        dtype=op.dtype,
    )
    return Step(op_type="Sub" if leaf.negative else "Add", inputs=(result, shift), shape=tree.root.outputs[0].shape)


EQUATION = Equation(name=_NAME, rank=15, find=_find)
