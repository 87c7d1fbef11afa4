"""EvDWT as one convolution of stride 2, EvIDWT as one transposed convolution: channel-first, four axes, no loop.

The rank-5 form [Bt, C, 4, H', W'] exists only as a reshape between the two, which Core ML folds away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from coremltools.converters.mil.mil import Builder as mb

from edgevision.ops.wavelet import analysis, synthesis
from edgevision.targets.coreml.lowering.indexing import cut, take
from edgevision.targets.coreml.lowering.table import Array, Call, MilVar, lowers

__all__: list[str] = []


def _filters(call: Call, channels: int) -> Array:
    """[4C, 1, k, k], shared filters repeated for every channel."""
    filters = call.const(1, "filters")
    return filters if filters.shape[0] == 4 * channels else np.tile(filters, (channels, 1, 1, 1))


def _wrapped(x: MilVar, axis: int, before: int, after: int) -> MilVar:
    """A periodic continuation; an odd axis first repeats its last sample."""
    if not before and not after:
        return x
    size = x.shape[axis]
    places = np.arange(-before, size + after) % (size + size % 2)
    return take(x, [int(place) for place in np.minimum(places, size - 1)], axis)


@lowers("edgevision::EvDWT")
def _dwt(call: Call) -> MilVar:
    x, mode = call.var(0), call.text("mode", "zero")
    batch, channels = x.shape[:2]
    filters = _filters(call, channels)
    borders = [analysis(size, filters.shape[-1], mode) for size in x.shape[2:]]
    pads = [amount for border in borders for amount in (border.before, border.after)]
    if mode != "zero":
        for axis, border in enumerate(borders, start=2):
            x = _wrapped(x, axis, border.before, border.after)
        pads = [0] * 4
    y = mb.conv(x=x, weight=filters, strides=[2, 2], pad_type="custom", pad=pads, groups=channels)
    return mb.reshape(x=y, shape=[batch, channels, 4, *(border.size for border in borders)])


@lowers("edgevision::EvIDWT")
def _idwt(call: Call) -> MilVar:
    x, mode = call.var(0), call.text("mode", "zero")
    batch, channels, _, *sizes = x.shape
    filters, crop = _filters(call, channels), call.ints("crop") or [0, 0]
    borders = [synthesis(size, filters.shape[-1], mode) for size in sizes]
    x = mb.reshape(x=x, shape=[batch, 4 * channels, *sizes])
    for axis, border in enumerate(borders, start=2):
        x = _wrapped_both(x, axis, border.wrap)
    full = [2 * (size - 1) + filters.shape[-1] for size in x.shape[2:]]
    kept = [border.size - off for border, off in zip(borders, crop, strict=True)]
    ends = [f - border.pad - size for f, border, size in zip(full, borders, kept, strict=True)]
    return mb.conv_transpose(
        x=x,
        weight=filters,
        pad_type="custom",
        pad=[borders[0].pad, ends[0], borders[1].pad, ends[1]],
        output_shape=[batch, channels, *kept],
        strides=[2, 2],
        groups=channels,
    )


def _wrapped_both(x: MilVar, axis: int, amount: int) -> MilVar:
    if not amount:
        return x
    size = x.shape[axis]
    if amount > size:
        return take(x, _periodic(size, amount), axis)
    parts = [cut(x, axis, size - amount, size), x, cut(x, axis, 0, amount)]
    return mb.concat(values=parts, axis=axis)


def _periodic(size: int, amount: int) -> Sequence[int]:
    return [place % size for place in range(-amount, size + amount)]
