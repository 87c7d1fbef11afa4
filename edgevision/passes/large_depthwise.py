"""Depthwise convolutions whose kernels reach far over the edges of their maps, as EvDepthwiseConv.

    Conv<group = channels>(x, w, b)  =  EvDepthwiseConv(x, w, b)

ONNX Runtime's blocked convolution sums the pixels whose windows cross the left or the right edge one at a time, each
product waiting for the last: four cycles instead of a half. Of a kernel of 13 columns on a map of 14 those are 12 columns.
Our kernel sums zeros there too, seven columns at once, but turns the map on the way in and out, and has ONNX Runtime turn
it back where the neighbours are blocked convolutions. Both are priced, and the convolution is replaced where ours is
clearly cheaper: 13x13 on 28, 14 and 7 pixels, not 9x9 on 64 or 7x7 on 14.
"""

from __future__ import annotations

import onnx_ir as ir

from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES
from edgevision.passes.convolution import Convolution, read_convolution
from edgevision.passes.graph_pass import PassResult
from edgevision.passes.rewriting import rewrite_all
from edgevision.reparam.rewrite import Rewrite, Step

__all__ = ["large_depthwise", "plain_depthwise"]

#: Times a product in the middle of the map: a product at an edge, one of ours, a pixel turned once by us and once by
#: ONNX Runtime. From 22 layers timed on AVX-512 (docs/kernels.md).
_AT_EDGE, _OURS, _TURNED = 4.4, 1.1, 27.0
#: The part of the other's price that ours must stay below.
_CLEARLY = 0.85
#: What the kernel holds: taps, and pixels under a tile of so many columns.
_MOST_TAPS, _MOST_PIXELS, _TILE = 1024, 2048, 28


def large_depthwise(model: ir.Model) -> PassResult:
    """Replace every depthwise convolution for which that is clearly cheaper, in place."""
    return rewrite_all(model, _equation)


def _equation(node: ir.Node) -> Rewrite | None:
    conv = read_convolution(node)
    if conv is None or not conv.depthwise or not _gains(conv):
        return None
    new = Step(
        op_type="EvDepthwiseConv",
        inputs=tuple(value for value in node.inputs if value is not None),
        attributes={**_geometry(node), **PLUGIN_ATTRIBUTES},
        shape=node.outputs[0].shape,
        domain=DOMAIN,
    )
    return Rewrite(equation="large_depthwise", old=(node,), new=new, probes={})


def plain_depthwise(model: ir.Model) -> PassResult:
    """The other way round, in place: graphs are quantized with the convolutions that runtimes have in 8 bits."""
    return rewrite_all(model, _plain)


def _plain(node: ir.Node) -> Rewrite | None:
    weight = node.inputs[1] if (node.domain, node.op_type) == (DOMAIN, "EvDepthwiseConv") else None
    channels = None if weight is None or weight.shape is None else weight.shape[0]
    if not isinstance(channels, int):
        return None
    new = Step(
        op_type="Conv",
        inputs=tuple(value for value in node.inputs if value is not None),
        attributes={**_geometry(node), "group": channels},
        shape=node.outputs[0].shape,
    )
    return Rewrite(equation="plain_depthwise", old=(node,), new=new, probes={})


def _geometry(node: ir.Node) -> dict[str, tuple[int, ...]]:
    defaults = {"strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1]}
    return {name: tuple(node.attributes.get_ints(name, value)) for name, value in defaults.items()}


def _gains(conv: Convolution) -> bool:
    """Whether the kernel takes this convolution, and for less."""
    sizes = [*(conv.x.shape or ())[2:], *(conv.node.outputs[0].shape or ())[2:]]
    padded = conv.node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET"
    if len(sizes) != 4 or padded or not all(isinstance(size, int) for size in sizes):
        return False
    height, width, rows, columns = (int(size) for size in sizes)  # type: ignore[arg-type]
    geometry, (kh, kw) = _geometry(conv.node), conv.weight.shape[2:]
    reach = [(k - 1) * d + 1 for k, d in zip((kh, kw), geometry["dilations"], strict=True)]
    if kh * kw > _MOST_TAPS or reach[0] * (reach[1] + min(columns, _TILE)) > _MOST_PIXELS:
        return False
    steps = [(geometry["strides"][i], geometry["pads"][i], geometry["dilations"][i]) for i in range(2)]
    taken = sum(_inside(height, rows, kh, *steps[0]))
    across = _inside(width, columns, kw, *steps[1])
    theirs = taken * sum(taps if taps == kw else _AT_EDGE * taps for taps in across)
    ours = _OURS * taken * columns * kw + _TURNED * (height * width + rows * columns)
    return bool(ours < _CLEARLY * theirs)


def _inside(size: int, results: int, taps: int, stride: int, pad: int, dilation: int) -> list[int]:
    """How many taps lie on the map, for each place along one axis."""
    return [sum(0 <= i * stride + t * dilation - pad < size for t in range(taps)) for i in range(results)]
