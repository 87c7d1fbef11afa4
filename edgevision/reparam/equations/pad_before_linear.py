"""Zeros put around a map by a node of their own become the padding of the operator behind it.

    W * (0 x 0)  =  W *' x          *' pads by what the Pad put there, and by what the operator itself does

W is a Conv, or an AveragePool that counts its padding or has none (it counts it afterwards). A padded map that others see
too stays for them.

Declines: a Pad that fills with something else than zeros, cuts, widens the batch or the channels, or by a computed
amount; a pool that divides by fewer taps at the border, or
that would have more padding than kernel, which runtimes refuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgevision.passes.graph_pass import Declined
from edgevision.reparam.conv_kernel import ConvKernel, kernel_of
from edgevision.reparam.equations import Equation
from edgevision.reparam.linear_op import read_linear
from edgevision.reparam.matching import Decline, attributes_of, constant_array, is_standard, labels
from edgevision.reparam.padding import static_sizes
from edgevision.reparam.pooling import read_average_pool
from edgevision.reparam.probing import probe_sizes
from edgevision.reparam.rewrite import Rewrite, Step

__all__ = ["EQUATION"]

_NAME = "pad_before_linear"
_CHANNELS = 2  # of a pool's proof: it treats all alike


def _find(graph: ir.Graph) -> Iterator[Rewrite | Declined]:
    for node in tuple(graph):
        if node.graph is None or node.op_type not in ("Conv", "AveragePool") or not is_standard(node):
            continue
        pad = None if node.inputs[0] is None else node.inputs[0].producer()
        if pad is None or pad.op_type != "Pad" or not is_standard(pad):
            continue
        try:
            rewrite = _match(pad, node)
        except Decline as no:
            yield Declined(where=labels((pad, node)), equation=_NAME, reason=no.reason)
        else:
            if rewrite is not None:
                yield rewrite


def _match(pad: ir.Node, node: ir.Node) -> Rewrite | None:
    x = pad.inputs[0]
    kernel = _kernel(node)
    if x is None or kernel is None:
        return None
    before, behind = _zeros(pad, len(kernel.taps))
    kernel = replace(
        kernel,
        begin=tuple(map(sum, zip(kernel.begin, before, strict=True))),
        end=tuple(map(sum, zip(kernel.end, behind, strict=True))),
    )
    attributes = attributes_of(node)
    attributes.pop("auto_pad", None)
    attributes["pads"] = (*kernel.begin, *kernel.end)
    if node.op_type == "AveragePool":
        if any(p >= k for p, k in zip((*kernel.begin, *kernel.end), kernel.taps * 2, strict=True)):
            raise Decline("the AveragePool would have as much padding as kernel, which runtimes refuse")
        attributes["count_include_pad"] = 1
    weights = tuple(value for value in node.inputs[1:] if value is not None)
    new = Step(op_type=node.op_type, inputs=(x, *weights), attributes=attributes, shape=node.outputs[0].shape)
    probe = (1, kernel.inputs, *probe_sizes(kernel, static_sizes(x)))
    seen = pad.outputs[0].is_graph_output() or len(pad.outputs[0].consumers()) > 1
    kept, old = ((pad,), (node,)) if seen else ((), (pad, node))
    return Rewrite(equation=_NAME, kept=kept, old=old, new=new, probes={x: probe})


def _kernel(node: ir.Node) -> ConvKernel | None:
    if node.op_type == "AveragePool":
        return read_average_pool(node, _CHANNELS)
    op = read_linear(node)
    return None if op is None else kernel_of(op)


def _zeros(pad: ir.Node, spatial: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How many zeros the Pad puts before and behind the map along each spatial axis."""
    mode = pad.attributes.get_string("mode", "constant")
    if mode != "constant":
        raise Decline(f"the Pad fills by mode '{mode}', not with zeros")
    filling = _filling(pad)
    if filling != 0:
        raise Decline(f"the Pad fills with {filling:g}, not with zeros")
    amounts = _amounts(pad, 2 + spatial)
    if min(amounts) < 0:
        raise Decline("the Pad cuts from the map")
    before, behind = amounts[: 2 + spatial], amounts[2 + spatial :]
    if any((*before[:2], *behind[:2])):
        raise Decline("the Pad widens the batch or the channels")
    return before[2:], behind[2:]


def _filling(pad: ir.Node) -> float:
    """The number it fills with: an input since opset 11, an attribute before."""
    if len(pad.inputs) > 2 and pad.inputs[2] is not None:
        value = constant_array(pad.inputs[2])
        return float(value.astype(np.float64).item())
    return float(pad.attributes.get_float("value", 0.0))


def _amounts(pad: ir.Node, rank: int) -> tuple[int, ...]:
    """Before each axis, then behind each: an input since opset 11, for chosen axes since 18, an attribute before."""
    if len(pad.inputs) < 2 or pad.inputs[1] is None:
        return tuple(pad.attributes.get_ints("pads", (0,) * 2 * rank))
    given = [int(amount) for amount in constant_array(pad.inputs[1])]
    axes = list(range(rank))
    if len(pad.inputs) > 3 and pad.inputs[3] is not None:
        axes = [int(axis) % rank for axis in constant_array(pad.inputs[3])]
    amounts = [0] * 2 * rank
    for position, axis in enumerate(axes):
        amounts[axis], amounts[rank + axis] = given[position], given[len(axes) + position]
    return tuple(amounts)


EQUATION = Equation(name=_NAME, rank=25, find=_find)
