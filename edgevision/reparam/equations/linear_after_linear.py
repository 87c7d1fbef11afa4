"""A linear operator after another becomes one.

    W2 * (W1 * x + b1) + b2  =  (W2 W1) * x + (W2 b1 + b2)

For two Convs (`kernel_composition` has the taps, strides and padding), two Gemms or two MatMuls.

Declines: the second Conv pads with zeros what the first does not leave zero; the intermediate result is a graph output
or has another reader; the product costs more than its factors, as behind a bottleneck.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import onnx_ir as ir

from edgevision.passes.graph_pass import Declined
from edgevision.reparam.conv_kernel import conv_step, kernel_of
from edgevision.reparam.equations import Equation
from edgevision.reparam.kernel_composition import compose, composed_frame
from edgevision.reparam.linear_op import linear_ending_at, linear_start, read_linear
from edgevision.reparam.matching import Decline, labels, removable
from edgevision.reparam.padding import static_sizes
from edgevision.reparam.pricing import price_of_kernel
from edgevision.reparam.probing import probe_of, probe_sizes
from edgevision.reparam.rewrite import Rewrite

__all__ = ["EQUATION"]

_NAME = "linear_after_linear"
_KINDS = ("Conv", "Gemm", "MatMul")


def _find(graph: ir.Graph) -> Iterator[Rewrite | Declined]:
    for node in tuple(graph):
        if node.graph is None or node.op_type not in _KINDS or node.inputs[0] is None:
            continue
        before = linear_start(node.inputs[0])
        if before is None or before.op_type != node.op_type:
            continue
        try:
            rewrite = _match(node, node.inputs[0])
        except Decline as no:
            yield Declined(where=labels((before, node)), equation=_NAME, reason=no.reason)
        else:
            if rewrite is not None:
                yield rewrite


def _match(node: ir.Node, middle: ir.Value) -> Rewrite | None:
    first, second = linear_ending_at(middle), read_linear(node)
    if first is None or second is None or first.outputs != second.inputs:
        return None
    before, after = kernel_of(first), kernel_of(second)
    apart = price_of_kernel(before) * math.prod(after.strides) + price_of_kernel(after)
    ratio = price_of_kernel(composed_frame(after, before)) / apart
    if ratio > 1:
        raise Decline(f"composed they would cost {ratio:.1f} times as much as apart")
    removable(middle, node)
    kernel = compose(after, before)
    if not kernel.taps:
        moved = replace(second, x=first.x)
        new, probe = moved.build(kernel.weight[None], kernel.bias if kernel.bias.any() else None), probe_of(first)
    else:
        new = conv_step(kernel, first.x, second.names, second.dtype, second.y.shape)
        probe = (1, kernel.inputs, *probe_sizes(kernel, static_sizes(first.x)))
    return Rewrite(equation=_NAME, old=(*first.nodes, *second.nodes), new=new, probes={first.x: probe})


EQUATION = Equation(name=_NAME, rank=50, find=_find)
