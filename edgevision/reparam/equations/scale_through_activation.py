"""A per-channel scale passes back through operators it commutes with, into the linear operator before them.

    s * f(W x + b)  =  f((s W) x + s b)

f may be AveragePool or GlobalAveragePool for every s (they are linear in each channel), and Relu,
LeakyRelu or MaxPool for s > 0 (they are positively homogeneous), or several of them in a row. Where the scale can go
forward into a convolution, `affine_before_linear` has done that already.

Declines: a scale that is not positive before Relu, LeakyRelu or MaxPool; a result on the way that is a graph output or
has another reader. A shift, and any other activation, does not commute and is no match.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from edgevision.passes.graph_pass import Declined
from edgevision.reparam.affine import affine_input, read_affine
from edgevision.reparam.equations import Equation
from edgevision.reparam.equations.affine_after_linear import compose
from edgevision.reparam.linear_op import LinearOp, linear_ending_at, linear_start
from edgevision.reparam.matching import Decline, attributes_of, is_standard, labels, removable
from edgevision.reparam.probing import probe_of
from edgevision.reparam.rewrite import Rewrite, Step

__all__ = ["EQUATION"]

_NAME = "scale_through_activation"
_LINEAR = ("AveragePool", "GlobalAveragePool")
_HOMOGENEOUS = ("Relu", "LeakyRelu", "MaxPool")


def _find(graph: ir.Graph) -> Iterator[Rewrite | Declined]:
    for node in tuple(graph):
        if node.graph is None or node.op_type not in ("Mul", "Div", "Neg"):
            continue
        chain = _chain(affine_input(node))
        if not chain:
            continue
        try:
            rewrite = _match(chain, node)
        except Decline as no:
            yield Declined(where=labels((*chain, node)), equation=_NAME, reason=no.reason)
        else:
            if rewrite is not None:
                yield rewrite


def _chain(value: ir.Value | None) -> tuple[ir.Node, ...]:
    """The operators a scale commutes with that end at `value`, behind a linear operator on maps; else none."""
    chain: list[ir.Node] = []
    while value is not None:
        node = value.producer()
        if node is None or not is_standard(node) or node.op_type not in (*_LINEAR, *_HOMOGENEOUS):
            break
        chain.insert(0, node)
        value = node.inputs[0]
    start = None if value is None else linear_start(value)
    return tuple(chain) if start is not None and start.op_type in ("Conv", "ConvTranspose") else ()


def _match(chain: tuple[ir.Node, ...], node: ir.Node) -> Rewrite | None:
    begin = chain[0].inputs[0]
    op = None if begin is None else linear_ending_at(begin)
    affine = None if op is None else read_affine(node, op.axis(output=True))
    if op is None or affine is None or affine.shift.any():
        return None
    curved = next((step for step in chain if step.op_type in _HOMOGENEOUS), None)
    if curved is not None and (affine.scale <= 0).any():
        raise Decline(f"the scale is not positive in every channel: it does not pass {curved.op_type}")
    for value, reader in zip((op.y, *(step.outputs[0] for step in chain)), (*chain, node), strict=True):
        removable(value, reader)
    kernel, bias = compose(op, affine)
    new = op.build(kernel, bias if op.bias is not None else None)
    for step in chain:
        new = Step(op_type=step.op_type, inputs=(new,), attributes=attributes_of(step), shape=step.outputs[0].shape)
    return Rewrite(equation=_NAME, old=(*op.nodes, *chain, node), new=new, probes={op.x: _probe(op, chain)})


def _probe(op: LinearOp, chain: tuple[ir.Node, ...]) -> tuple[int, ...]:
    """A map large enough that the pools of the chain have something to pool."""
    batch, channels, *sizes = probe_of(op)
    reach = sum(max(step.attributes.get_ints("kernel_shape", (1,))) for step in chain)
    strides = max((max(step.attributes.get_ints("strides", (1,))) for step in (*op.nodes, *chain)), default=1)
    return (batch, channels, *(size + reach * strides for size in sizes))


EQUATION = Equation(name=_NAME, rank=70, find=_find)
