"""Convolutions. Weights and biases that are constants stay so; computed ones need iOS 17 and are passed on.

A transposed convolution is MIL's with its pads reduced by `output_padding`; where that asks for more than the pads
hold, the extra rows see no input at all: zeros are appended and the bias is added after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coremltools.converters.mil.mil import Builder as mb

from edgevision.targets.coreml.lowering.padding import pad_constant
from edgevision.targets.coreml.lowering.table import Call, MilVar, lowers
from edgevision.targets.coreml.lowering.window import window_of

__all__: list[str] = []


def _weight(call: Call, index: int) -> Any:
    known = call.known(index)
    return call.var(index) if known is None else known


@lowers("Conv")
def _conv(call: Call) -> MilVar:
    x, weight = call.var(0), _weight(call, 1)
    window = window_of(call, x.shape[2:], weight.shape[2:])
    options: dict[str, Any] = {"bias": _weight(call, 2)} if call.given(2) else {}
    return mb.conv(
        x=x,
        weight=weight,
        strides=list(window.strides),
        pad_type="custom",
        pad=window.flat_pads(),
        dilations=list(window.dilations),
        groups=call.integer("group", 1),
        **options,
    )


@lowers("ConvTranspose")
def _conv_transpose(call: Call) -> MilVar:
    x, weight = call.var(0), _weight(call, 1)
    rank, groups = x.rank - 2, call.integer("group", 1)
    strides = call.ints("strides") or [1] * rank
    dilations = call.ints("dilations") or [1] * rank
    extents = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    full = [s * (size - 1) + e for s, size, e in zip(strides, x.shape[2:], extents, strict=True)]
    pads, outputs = _transposed_pads(call, x.shape[2:], full, strides)
    # What the full result has beyond the wanted end is cropped; what it lacks is appended.
    ends = [size - before - out for size, (before, _), out in zip(full, pads, outputs, strict=True)]
    crop = [amount for (before, _), end in zip(pads, ends, strict=True) for amount in (before, max(end, 0))]
    lacking = [max(-end, 0) for end in ends]
    bias = {"bias": _weight(call, 2)} if call.given(2) and not any(lacking) else {}
    sizes = [out - lack for out, lack in zip(outputs, lacking, strict=True)]
    y = mb.conv_transpose(
        x=x,
        weight=weight,
        pad_type="custom",
        pad=crop,
        output_shape=[x.shape[0], weight.shape[1] * groups, *sizes],
        strides=strides,
        dilations=dilations,
        groups=groups,
        **bias,
    )
    if not any(lacking):
        return y
    y = pad_constant(y, [(0, 0), (0, 0), *((0, lack) for lack in lacking)], 0.0)
    if not call.given(2):
        return y
    return mb.add(x=y, y=mb.reshape(x=call.var(2), shape=[1, -1, *[1] * rank]))


def _transposed_pads(
    call: Call, spatial: Sequence[int], full: Sequence[int], strides: Sequence[int]
) -> tuple[list[tuple[int, int]], list[int]]:
    """Pads and output sizes, by the three ways in which ONNX lets them be given."""
    rank, auto = len(spatial), call.text("auto_pad", "NOTSET")
    extra = call.ints("output_padding") or [0] * rank
    wanted = call.ints("output_shape")
    if wanted is None and auto in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [size * stride for size, stride in zip(spatial, strides, strict=True)]
    if wanted is not None:
        totals = [size + more - out for size, more, out in zip(full, extra, wanted[-rank:], strict=True)]
        halves = [(total // 2, total - total // 2) for total in totals]
        pads = halves if auto == "SAME_UPPER" else [(after, before) for before, after in halves]
        if min(before for before, _ in pads) < 0:
            raise call.refuse("its output_shape exceeds what its input reaches", "set pads and output_padding instead")
        return pads, list(wanted[-rank:])
    flat = [0] * (2 * rank) if auto == "VALID" else call.ints("pads") or [0] * (2 * rank)
    pads = list(zip(flat[:rank], flat[rank:], strict=True))
    sizes = [size + more - sum(pair) for size, more, pair in zip(full, extra, pads, strict=True)]
    return pads, sizes


@lowers("DeformConv")
def _deform_conv(call: Call) -> MilVar:
    raise call.refuse("MIL has no deformable convolution", "rewrite it as GridSample and Conv before exporting")


@lowers("ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul")
def _integer(call: Call) -> MilVar:
    raise call.refuse(
        "MIL has no integer accumulation", "use QuantizeLinear/DequantizeLinear pairs around the float operator"
    )
