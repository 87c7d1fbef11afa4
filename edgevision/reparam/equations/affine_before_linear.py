"""A per-channel affine before a linear operator goes into its weights.

    W (s * x + t) + b  =  (W s) x + (b + sum over taps of W t)

Exact where every tap of every output sees real input. With zero padding the border would see 0 instead of t, so a
shift t that is not zero is declined there; a pure scale passes. The same holds for ConvTranspose, whose borders and
gaps receive fewer taps than the middle.

Declines: zero padding with a shift; the scaled input is a graph output or has another reader; a weight that is a graph
input, computed, NaN, or not float32/float64; a BatchNormalization in training mode or without positive variance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import onnx_ir as ir

from edgevision.passes.graph_pass import Declined
from edgevision.reparam.affine import affine_input, read_affine
from edgevision.reparam.equations import Equation
from edgevision.reparam.linear_op import LINEAR_TYPES, read_linear
from edgevision.reparam.matching import Decline, labels, removable
from edgevision.reparam.probing import probe_of
from edgevision.reparam.rewrite import Rewrite

__all__ = ["EQUATION"]

_NAME = "affine_before_linear"


def _find(graph: ir.Graph) -> Iterator[Rewrite | Declined]:
    for node in tuple(graph):
        if node.graph is None or node.op_type not in LINEAR_TYPES or node.inputs[0] is None:
            continue
        before = node.inputs[0].producer()
        if before is None or affine_input(before) is None:
            continue
        try:
            rewrite = _match(before, node)
        except Decline as no:
            yield Declined(where=labels((before, node)), equation=_NAME, reason=no.reason)
        else:
            if rewrite is not None:
                yield rewrite


def _match(before: ir.Node, node: ir.Node) -> Rewrite | None:
    op = read_linear(node)
    affine = None if op is None else read_affine(before, op.axis(output=False))
    if op is None or affine is None:
        return None
    removable(affine.y, node)
    if affine.shift.any() and op.zero_padded():
        does = "pads with zeros" if op.kind == "Conv" else "gives borders and gaps fewer taps"
        raise Decline(f"the {op.kind} {does}, the affine before it shifts: the border would change")
    groups, _, inputs = op.kernel.shape[:3]
    taps = (1,) * (op.kernel.ndim - 3)
    kernel = op.kernel * affine.scale.reshape(groups, 1, inputs, *taps)
    bias = op.bias
    if affine.shift.any():
        shift = affine.shift.reshape(groups, 1, inputs, *taps)
        pushed = (op.kernel * shift).sum(axis=tuple(range(2, op.kernel.ndim))).reshape(-1)
        bias = pushed if bias is None else bias + pushed
    return Rewrite(
        equation=_NAME,
        old=(before, *op.nodes),
        new=replace(op, x=affine.x).build(kernel, bias),
        probes={affine.x: probe_of(op)},
        note=affine.note,
    )


EQUATION = Equation(name=_NAME, rank=20, find=_find)
