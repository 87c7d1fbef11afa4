"""Pools with all their flags.

`ceil_mode` is padding: what the last window reads beyond the end is -inf for a maximum, and never counted for an
average. Dilated maxima are maxima over strided slices; dilated averages a depthwise convolution with the reciprocal of
how many elements each window holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import product
from math import prod

import numpy as np
from coremltools.converters.mil.mil import Builder as mb

from edgevision.targets.coreml.lowering.dtypes import is_float, like, numpy_type
from edgevision.targets.coreml.lowering.padding import pad_constant
from edgevision.targets.coreml.lowering.table import Array, Call, MilVar, lowers
from edgevision.targets.coreml.lowering.window import Window, window_of

__all__: list[str] = []


@lowers("GlobalAveragePool")
def _global_average(call: Call) -> MilVar:
    x = call.var(0)
    return mb.reduce_mean(x=x, axes=list(range(2, x.rank)), keep_dims=True)


@lowers("GlobalMaxPool")
def _global_max(call: Call) -> MilVar:
    x = call.var(0)
    return mb.reduce_max(x=x, axes=list(range(2, x.rank)), keep_dims=True)


def _window(call: Call, x: MilVar) -> Window:
    return window_of(call, x.shape[2:], call.ints("kernel_shape") or [1] * (x.rank - 2))


def _full_pads(window: Window) -> list[tuple[int, int]]:
    return [(before, after + more) for (before, after), more in zip(window.pads, window.overhang, strict=True)]


@lowers("MaxPool")
def _max_pool(call: Call) -> MilVar | list[MilVar]:
    x = call.var(0)
    window = _window(call, x)
    if not is_float(x):
        raise call.refuse("MIL pools floats only", "cast to float32 around the pool")
    if len(call.node.outputs) > 1:
        return _max_with_indices(call, x, window)
    if any(dilation != 1 for dilation in window.dilations):
        return reduce(lambda a, b: mb.maximum(x=a, y=b), _taps(x, window, float("-inf")))
    pads = [amount for pair in _full_pads(window) for amount in pair]
    return mb.max_pool(x=x, kernel_sizes=list(window.kernel), strides=list(window.strides), pad_type="custom", pad=pads)


def _taps(x: MilVar, window: Window, fill: float) -> Iterator[MilVar]:
    """For each element of the window, the strided slice of all values at that place."""
    padded = pad_constant(x, [(0, 0), (0, 0), *_full_pads(window)], fill)
    for place in product(*(range(size) for size in window.kernel)):
        begin = [p * d for p, d in zip(place, window.dilations, strict=True)]
        end = [b + (o - 1) * s + 1 for b, o, s in zip(begin, window.outputs, window.strides, strict=True)]
        yield mb.slice_by_index(
            x=padded,
            begin=[0, 0, *begin],
            end=[0, 0, *end],
            stride=[1, 1, *window.strides],
            begin_mask=[True, True, *[False] * len(begin)],
            end_mask=[True, True, *[False] * len(begin)],
        )


def _max_with_indices(call: Call, x: MilVar, window: Window) -> list[MilVar]:
    """Values, and the place of each in the flattened input: an argmax over the taps picks from a constant map."""
    if x.rank + 1 > 5:
        raise call.refuse("indices of a 3-D pool need rank 6", "drop the Indices output")
    stacked = mb.stack(values=list(_taps(x, window, float("-inf"))), axis=x.rank)
    flat = [prod(x.shape[:2]), prod(window.outputs), prod(window.kernel)]
    stacked = mb.reshape(x=stacked, shape=flat)
    winner = mb.reduce_argmax(x=stacked, axis=2, keep_dims=True)
    places = mb.const(val=_places(call, x, window).reshape(flat))
    indices = mb.gather_along_axis(x=places, indices=winner, axis=2)
    shape = [*x.shape[:2], *window.outputs]
    values = mb.reduce_max(x=stacked, axes=[2], keep_dims=False)
    return [mb.reshape(x=values, shape=shape), mb.reshape(x=indices, shape=shape)]


def _places(call: Call, x: MilVar, window: Window) -> Array:
    """Flat input index of every tap of every window, [N, C, outputs..., taps]; int32."""
    axes = []
    for k, s, d, (before, _), out in zip(
        window.kernel, window.strides, window.dilations, window.pads, window.outputs, strict=True
    ):
        axes.append(np.arange(out)[:, None] * s - before + np.arange(k)[None, :] * d)
    spatial, order = list(x.shape[2:]), call.integer("storage_order", 0)
    index = np.zeros((*window.outputs, *window.kernel), np.int64)
    rank = len(spatial)
    for axis in range(rank):
        weight = prod(spatial[:axis]) if order else prod(spatial[axis + 1 :])
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = axes[axis].shape
        index = index + axes[axis].reshape(shape) * weight
    image = np.arange(prod(x.shape[:2])).reshape(*x.shape[:2], *[1] * (rank + 1)) * prod(spatial)
    places: Array = (image + index.reshape(1, 1, *window.outputs, -1)).astype(np.int32)
    return places


@lowers("AveragePool")
def _average_pool(call: Call) -> MilVar:
    x = call.var(0)
    window = _window(call, x)
    counted = bool(call.integer("count_include_pad", 0))
    if any(dilation != 1 for dilation in window.dilations):
        return _average_by_convolution(x, window, counted)
    pads = _full_pads(window)
    if counted:
        # Zeros that count are really there; what ceil_mode adds is padding that does not count.
        x = pad_constant(x, [(0, 0), (0, 0), *window.pads], 0.0)
        pads = [(0, more) for more in window.overhang]
    return mb.avg_pool(
        x=x,
        kernel_sizes=list(window.kernel),
        strides=list(window.strides),
        pad_type="custom",
        pad=[amount for pair in pads for amount in pair],
        exclude_padding_from_average=True,
    )


def _average_by_convolution(x: MilVar, window: Window, counted: bool) -> MilVar:
    channels = x.shape[1]
    ones = np.ones((channels, 1, *window.kernel), numpy_type(x))
    sums = mb.conv(
        x=x,
        weight=ones,
        strides=list(window.strides),
        pad_type="custom",
        pad=[amount for pair in _full_pads(window) for amount in pair],
        dilations=list(window.dilations),
        groups=channels,
    )
    counts = reduce(
        np.multiply.outer, [_counts(window, axis, x.shape[2 + axis], counted) for axis in range(x.rank - 2)]
    )
    return mb.real_div(x=sums, y=counts[None, None].astype(numpy_type(x)))


def _counts(window: Window, axis: int, size: int, counted: bool) -> Array:
    """How many elements each window counts along one axis."""
    before, after = window.pads[axis]
    starts = np.arange(window.outputs[axis]) * window.strides[axis] - before
    places = starts[:, None] + np.arange(window.kernel[axis]) * window.dilations[axis]
    low, high = (-before, size + after) if counted else (0, size)
    inside: Array = ((places >= low) & (places < high)).sum(axis=1)
    return inside


@lowers("LpPool")
def _lp_pool(call: Call) -> MilVar:
    x, p = call.var(0), call.integer("p", 2)
    window = _window(call, x)
    powers = mb.mul(x=x, y=x) if p == 2 else mb.pow(x=mb.abs(x=x), y=like(x, p))
    ones = np.ones((x.shape[1], 1, *window.kernel), numpy_type(x))
    sums = mb.conv(
        x=powers,
        weight=ones,
        strides=list(window.strides),
        pad_type="custom",
        pad=[amount for pair in _full_pads(window) for amount in pair],
        dilations=list(window.dilations),
        groups=x.shape[1],
    )
    return mb.sqrt(x=sums) if p == 2 else mb.pow(x=sums, y=like(x, 1 / p))


@lowers("GlobalLpPool")
def _global_lp(call: Call) -> MilVar:
    x, p = call.var(0), call.integer("p", 2)
    axes = list(range(2, x.rank))
    if p == 2:
        return mb.reduce_l2_norm(x=x, axes=axes, keep_dims=True)
    total = mb.reduce_sum(x=mb.pow(x=mb.abs(x=x), y=like(x, p)), axes=axes, keep_dims=True)
    return mb.pow(x=total, y=like(x, 1 / p))
