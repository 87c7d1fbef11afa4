"""An affine that does nothing goes.

    1 * x + 0  =  x

Exporters leave them behind where a module starts a sum from the number 0 or multiplies by a default of 1. The result
must have the shape of x: only constants of one element are looked at, a wider one might widen the tensor.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from edgevision.passes.graph_pass import Declined
from edgevision.reparam.affine import ChannelAxis, affine_input, read_affine
from edgevision.reparam.equations import Equation
from edgevision.reparam.matching import Decline, is_constant, labels
from edgevision.reparam.rewrite import Rewrite, Step

__all__ = ["EQUATION"]

_NAME = "neutral_affine"


def _find(graph: ir.Graph) -> Iterator[Rewrite | Declined]:
    for node in tuple(graph):
        x = None if node.graph is None else affine_input(node)
        if x is None or x.shape is None or node.op_type == "BatchNormalization":
            continue
        if not any(value is not None and is_constant(value) and _single(value) for value in node.inputs):
            continue
        rank = x.shape.rank()
        try:
            affine = read_affine(node, ChannelAxis(channels=1, from_end=-1, rank=rank))
        except Decline as no:
            yield Declined(where=labels((node,)), equation=_NAME, reason=no.reason)
            continue
        if affine is not None and (affine.scale == 1).all() and not affine.shift.any():
            identity = Step(op_type="Identity", inputs=(x,), shape=x.shape)
            yield Rewrite(equation=_NAME, old=(node,), new=identity, probes={x: (2,) * rank})


def _single(value: ir.Value) -> bool:
    tensor = ir.convenience.get_const_tensor(value)
    return tensor is not None and tensor.size == 1


EQUATION = Equation(name=_NAME, rank=0, find=_find)
