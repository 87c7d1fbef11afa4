"""A linear operator after another becomes one.

    W2 * (W1 * x + b1) + b2  =  (W2 W1) * x + (W2 b1 + b2)

For two Convs, a Conv and an AveragePool in either order (`kernel_composition` has the taps, strides and padding), two
Gemms or two MatMuls.

Declines: the second pads with zeros what the first does not leave zero; the intermediate result is a graph output
or has another reader; the product costs more than its factors, as behind a bottleneck; a pool that is no convolution.
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
from edgevision.reparam.linear_path import is_pool
from edgevision.reparam.matching import Decline, is_standard, labels, removable
from edgevision.reparam.padding import static_sizes
from edgevision.reparam.pooling import read_average_pool
from edgevision.reparam.pricing import price_of_kernel
from edgevision.reparam.probing import probe_of, probe_sizes
from edgevision.reparam.rewrite import Rewrite

__all__ = ["EQUATION"]

_NAME = "linear_after_linear"
_PAIRS = {("Conv", "Conv"), ("AveragePool", "Conv"), ("Conv", "AveragePool"), ("Gemm", "Gemm"), ("MatMul", "MatMul")}


def _find(graph: ir.Graph) -> Iterator[Rewrite | Declined]:
    for node in tuple(graph):
        if node.graph is None or not is_standard(node) or not node.inputs or node.inputs[0] is None:
            continue
        producer = node.inputs[0].producer()
        before = producer if producer is not None and is_pool(producer) else linear_start(node.inputs[0])
        if before is None or (before.op_type, node.op_type) not in _PAIRS:
            continue
        try:
            rewrite = _match(before, node, node.inputs[0])
        except Decline as no:
            yield Declined(where=labels((before, node)), equation=_NAME, reason=no.reason)
        else:
            if rewrite is not None:
                yield rewrite


def _match(start: ir.Node, node: ir.Node, middle: ir.Value) -> Rewrite | None:
    first, second = linear_ending_at(middle), read_linear(node)
    op, x = second or first, start.inputs[0]
    if op is None or x is None or is_pool(start) != (first is None) or is_pool(node) != (second is None):
        return None
    before = read_average_pool(start, op.inputs) if first is None else kernel_of(first)
    after = read_average_pool(node, op.outputs) if second is None else kernel_of(second)
    if before.outputs != after.inputs:
        return None
    apart = price_of_kernel(before) * math.prod(after.strides) + price_of_kernel(after)
    ratio = price_of_kernel(composed_frame(after, before)) / apart
    if ratio > 1:
        raise Decline(f"composed they would cost {ratio:.1f} times as much as apart")
    removable(middle, node)
    kernel = compose(after, before)
    old = (*(first.nodes if first else (start,)), *(second.nodes if second else (node,)))
    if kernel.taps:
        new = conv_step(kernel, x, op.names, op.dtype, old[-1].outputs[0].shape)
        probe = (1, kernel.inputs, *probe_sizes(kernel, static_sizes(x)))
    else:
        new = replace(op, x=x).build(kernel.weight[None], kernel.bias if kernel.bias.any() else None)
        probe = (*probe_of(op)[:-1], kernel.inputs)
    return Rewrite(equation=_NAME, old=old, new=new, probes={x: probe})


EQUATION = Equation(name=_NAME, rank=50, find=_find)
