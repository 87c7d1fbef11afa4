"""Scale and zero point of a tensor: q = round(x / scale) + zero_point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.calibration.calibrators import Method, Range, least_error_scales
from edgevision.quantize.scheme import Activations, WeightForm

__all__ = ["Quantized", "activation_parameters", "quantized_bias", "quantized_weight"]

#: Biases stay below this in their int32 form, so that the sum they join cannot overflow.
_LARGEST_BIAS = 2.0**30


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """Integers of a constant with their scales along `axis`."""

    values: NDArray[Any]
    scales: NDArray[np.float32]
    axis: int


def activation_parameters(span: Range, form: Activations) -> tuple[np.float32, int]:
    """Scale and zero point for `span`, which holds 0, so that 0 is represented exactly."""
    if form.symmetric:
        reach = max(-span.low, span.high)
        return np.float32(reach / 127 if reach > 0 else 1.0), 0
    least = 0 if form.type == "uint8" else -128
    width = span.high - span.low
    if width <= 0:
        return np.float32(1.0), least
    scale = np.float32(width / 255)
    return scale, int(np.clip(round(least - span.low / float(scale)), least, least + 255))


def quantized_weight(
    weight: NDArray[np.float32],
    axis: int,
    form: WeightForm,
    method: Method,
    bias: NDArray[np.float32] | None = None,
    input_scale: float = 1.0,
) -> Quantized:
    """A weight in int8, `axis` counting its output channels.

    A channel whose bias dwarfs its weights would overflow int32 at the weights' own scale; its scale is widened. Where all
    channels share one scale, `scales` repeats it.
    """
    axis %= weight.ndim
    rows = np.moveaxis(weight.astype(np.float64), axis, 0).reshape(weight.shape[axis], -1)
    scales = least_error_scales(rows if form.per_channel else rows.reshape(1, -1), form.largest, method)
    if bias is not None and form.bias == "int32":
        scales = np.maximum(scales, np.abs(bias.astype(np.float64)) / (_LARGEST_BIAS * input_scale))
    if not form.per_channel:
        scales = np.repeat(scales.max(), weight.shape[axis])
    rounded = scales.astype(np.float32)
    shape = [1] * weight.ndim
    shape[axis] = -1
    steps = rounded.astype(np.float64).reshape(shape)
    values = np.clip(np.round(weight / steps), -form.largest, form.largest).astype(np.int8)
    return Quantized(values=values, scales=rounded, axis=axis)


def quantized_bias(bias: NDArray[np.float32], input_scale: np.float32, weight_scales: NDArray[np.float32]) -> Quantized:
    """A bias in int32, at the scale of the products it is added to."""
    scales: NDArray[np.float32] = np.asarray(weight_scales * input_scale, np.float32)
    values = np.round(bias.astype(np.float64) / scales.astype(np.float64)).astype(np.int32)
    return Quantized(values=values, scales=scales, axis=0)
