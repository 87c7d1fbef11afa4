"""A per-channel affine after a linear operator goes into its weights.

    s * (W x + b) + t  =  (s W) x + (s b + t)

Always exact, whatever the padding, stride, dilation and groups: the affine acts on outputs, one at a time. W is a Conv,
ConvTranspose, Gemm or MatMul; the affine a BatchNormalization, or Mul, Div, Add, Sub by a per-channel constant.

Declines: the intermediate result is a graph output or has another reader; a weight is a graph input, computed, NaN, or
not float32/float64; the BatchNormalization is in training mode or its variance is not positive.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from edgevision.passes.graph_pass import Declined
from edgevision.reparam.affine import Affine, affine_input, read_affine
from edgevision.reparam.equations import Equation
from edgevision.reparam.linear_op import LINEAR_TYPES, LinearOp, linear_ending_at
from edgevision.reparam.matching import Decline, Floats, labels, removable
from edgevision.reparam.probing import probe_of
from edgevision.reparam.rewrite import Rewrite

__all__ = ["EQUATION"]

_NAME = "affine_after_linear"


def _find(graph: ir.Graph) -> Iterator[Rewrite | Declined]:
    for node in tuple(graph):
        if node.graph is None:
            continue
        x = affine_input(node)
        producer = None if x is None else x.producer()
        if x is None or producer is None or producer.op_type not in (*LINEAR_TYPES, "Add"):
            continue
        try:
            rewrite = _match(node, x)
        except Decline as no:
            yield Declined(where=labels((producer, node)), equation=_NAME, reason=no.reason)
        else:
            if rewrite is not None:
                yield rewrite


def _match(node: ir.Node, x: ir.Value) -> Rewrite | None:
    op = linear_ending_at(x)
    if op is None or node in op.nodes:
        return None
    affine = read_affine(node, op.axis(output=True))
    if affine is None or _is_own_bias(op, affine):
        return None
    removable(x, node)
    kernel, bias = compose(op, affine)
    return Rewrite(
        equation=_NAME, old=(*op.nodes, node), new=op.build(kernel, bias), probes={op.x: probe_of(op)}, note=affine.note
    )


def compose(op: LinearOp, affine: Affine) -> tuple[Floats, Floats]:
    """Kernel and bias of `affine` after `op`."""
    groups, outputs = op.kernel.shape[:2]
    scale = affine.scale.reshape(groups, outputs, *(1,) * (op.kernel.ndim - 2))
    bias = affine.shift if op.bias is None else affine.scale * op.bias + affine.shift
    return op.kernel * scale, bias


def _is_own_bias(op: LinearOp, affine: Affine) -> bool:
    """An Add after a MatMul is where its bias lives: folding it would write the same two nodes again."""
    return op.kind == "MatMul" and len(op.nodes) == 1 and affine.node.op_type == "Add"


EQUATION = Equation(name=_NAME, rank=10, find=_find)
