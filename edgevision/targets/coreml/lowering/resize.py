"""Resize in every mode: MIL's own operator where its matrix is the same one, else the matrix itself.

A nearest resize is rows picked by a constant index; bilinear maps of MIL are used where their grid gives the same
weights; everything else (cubic, antialiased, cropped) is one constant matrix product an axis, which is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

import numpy as np
from coremltools.converters.mil.mil import Builder as mb

from edgevision.targets.coreml.lowering.dtypes import is_float, like, numpy_type
from edgevision.targets.coreml.lowering.indexing import take
from edgevision.targets.coreml.lowering.resampling import Matrix, Resampling, matrix, native_matrix
from edgevision.targets.coreml.lowering.table import Array, Call, MilVar, lowers

__all__: list[str] = []

#: Weights are stored in float32: closer than this is the same matrix.
_SAME = 1e-6


@dataclass(frozen=True)
class _Sizes:
    axes: list[int]
    outputs: list[int]
    scales: list[float]


@lowers("Resize")
def _resize(call: Call) -> MilVar:
    x, mode = call.var(0), call.text("mode", "nearest")
    if not is_float(x) and mode != "nearest":
        raise call.refuse("integers would be rounded", "cast to float32 around the node")
    sizes = _sizes(call, x.shape)
    changed = {a: matrix(_resampling(call, x.shape, sizes, i)) for i, a in enumerate(sizes.axes)}
    changed = {a: m for a, m in changed.items() if m.shape[0] != m.shape[1] or not np.array_equal(m, np.eye(len(m)))}
    if not changed:
        return mb.identity(x=x)
    if mode == "nearest" and call.text("coordinate_transformation_mode", "half_pixel") != "tf_crop_and_resize":
        return _pick(x, changed)
    native = _native(x, changed) if mode == "linear" else None
    if native is not None:
        return native
    y = x
    for axis, weights in changed.items():
        y = _apply(y, axis, weights.astype(numpy_type(x)))
    return _extrapolated(call, y, changed)


def _sizes(call: Call, shape: Sequence[int]) -> _Sizes:
    axes = [axis % len(shape) for axis in call.ints("axes") or range(len(shape))]
    if call.given(2) and (known := call.const(2, "scales")).size:
        scales = [float(scale) for scale in known.reshape(-1)]
        return _Sizes(axes, [floor(shape[a] * s) for a, s in zip(axes, scales, strict=True)], scales)
    wanted = [int(size) for size in call.const(3, "sizes").reshape(-1)]
    scales = [size / shape[axis] for axis, size in zip(axes, wanted, strict=True)]
    policy = call.text("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        scale = min(scales) if policy == "not_larger" else max(scales)
        wanted = [floor(scale * shape[axis] + 0.5) for axis in axes]
        scales = [scale] * len(axes)
    return _Sizes(axes, wanted, scales)


def _resampling(call: Call, shape: Sequence[int], sizes: _Sizes, position: int) -> Resampling:
    region, count = (0.0, 1.0), len(sizes.axes)
    transform = call.text("coordinate_transformation_mode", "half_pixel")
    if transform == "tf_crop_and_resize":
        roi = call.const(1, "roi").reshape(-1)
        region = (float(roi[position]), float(roi[position + count]))
    return Resampling(
        size=shape[sizes.axes[position]],
        output=sizes.outputs[position],
        scale=sizes.scales[position],
        mode=call.text("mode", "nearest"),
        transform=transform,
        nearest=call.text("nearest_mode", "round_prefer_floor"),
        cubic=call.number("cubic_coeff_a", -0.75),
        exclude_outside=bool(call.integer("exclude_outside", 0)),
        antialias=bool(call.integer("antialias", 0)),
        region=region,
    )


def _pick(x: MilVar, changed: dict[int, Matrix]) -> MilVar:
    rows = {axis: [int(row) for row in weights.argmax(axis=1)] for axis, weights in changed.items()}
    factors = {axis: len(r) // x.shape[axis] for axis, r in rows.items()}
    whole = all(r == [i // max(factors[axis], 1) for i in range(len(r))] for axis, r in rows.items())
    if whole and set(rows) <= {x.rank - 2, x.rank - 1} and x.rank >= 3 and is_float(x):
        return mb.upsample_nearest_neighbor(
            x=x,
            scale_factor_height=factors.get(x.rank - 2, 1),
            scale_factor_width=factors.get(x.rank - 1, 1),
        )
    for axis, picked in rows.items():
        x = take(x, picked, axis)
    return x


def _native(x: MilVar, changed: dict[int, Matrix]) -> MilVar | None:
    """MIL's bilinear resize, when some sampling mode of it has these very matrices on the last two axes."""
    if not set(changed) <= {x.rank - 2, x.rank - 1} or x.rank not in (3, 4):
        return None
    height, width = x.shape[-2:]
    tall, wide = changed.get(x.rank - 2, np.eye(height)), changed.get(x.rank - 1, np.eye(width))
    for sampling_mode in ("UNALIGN_CORNERS", "STRICT_ALIGN_CORNERS", "DEFAULT"):
        if all(
            np.abs(native_matrix(size, len(wanted), sampling_mode) - wanted).max() < _SAME
            for size, wanted in ((height, tall), (width, wide))
        ):
            return mb.resize_bilinear(
                x=x, target_size_height=len(tall), target_size_width=len(wide), sampling_mode=sampling_mode
            )
    return None


def _apply(x: MilVar, axis: int, weights: Array) -> MilVar:
    if axis == x.rank - 1 and x.rank >= 2:
        return mb.matmul(x=x, y=weights.T.reshape([1] * (x.rank - 2) + list(weights.T.shape)))
    if axis == x.rank - 2:
        return mb.matmul(x=weights.reshape([1] * (x.rank - 2) + list(weights.shape)), y=x)
    perm = [a for a in range(x.rank) if a != axis] + [axis]
    moved = mb.transpose(x=x, perm=perm) if x.rank > 1 else mb.expand_dims(x=x, axes=[0])
    y = mb.matmul(x=moved, y=weights.T.reshape([1] * (moved.rank - 2) + list(weights.T.shape)))
    if x.rank == 1:
        return mb.squeeze(x=y, axes=[0])
    return mb.transpose(x=y, perm=[int(place) for place in np.argsort(perm)])


def _extrapolated(call: Call, y: MilVar, changed: dict[int, Matrix]) -> MilVar:
    """`extrapolation_value` where a cropped region leaves the image (there the matrices' rows are zero)."""
    outside = np.zeros(tuple(y.shape), np.bool_)
    for axis, weights in changed.items():
        shape = [-1 if a == axis else 1 for a in range(y.rank)]
        outside |= (~weights.any(axis=1)).reshape(shape)
    if not outside.any():
        return y
    value = np.full(tuple(y.shape), like(y, call.number("extrapolation_value", 0.0)))
    return mb.select(cond=outside, a=value, b=y)
