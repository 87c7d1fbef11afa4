"""Conv and ConvTranspose from their definition, for the reference evaluator the proofs run in.

    Conv           y[o, p] = b[o] + sum_{t, i} w[o, i, t] * x[i, stride * p - pad + dilation * t]
    ConvTranspose  y[o, stride * p - pad + dilation * t] += w[i, o, t] * x[i, p],  starting from b[o]

A loop over the taps, one matrix product each: in float64 ten times as fast as the evaluator's own Conv, and right for
grouped ConvTranspose, which the evaluator of onnx 1.23 refuses.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun

__all__ = ["Conv", "ConvTranspose"]

Array = NDArray[Any]


class Conv(OpRun):  # type: ignore[misc]  # onnx is untyped
    """ONNX Conv of any rank."""

    op_domain = ""

    def _run(self, x: Array, w: Array, b: Array | None = None, **attributes: Any) -> tuple[Array]:
        taps, strides, dilations, groups = _geometry(w, attributes)
        before, after = _pads(x.shape[2:], taps, strides, dilations, attributes)
        x = np.pad(x, [(0, 0), (0, 0), *zip(before, after, strict=True)])
        sizes = [
            (n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], taps, strides, dilations, strict=True)
        ]
        kernel = np.moveaxis(w.reshape(groups, -1, w.shape[1], math.prod(taps)), 3, 0)
        y = np.zeros((x.shape[0], groups, kernel.shape[2], math.prod(sizes)), x.dtype)
        for tap, window in _windows(taps, strides, dilations, sizes):
            seen = x[window].reshape(x.shape[0], groups, w.shape[1], -1)
            y += _product(kernel[tap], seen)
        y = y.reshape(x.shape[0], w.shape[0], *sizes)
        return (y if b is None else y + b.reshape(-1, *(1,) * len(taps)),)


class ConvTranspose(OpRun):  # type: ignore[misc]  # onnx is untyped
    """ONNX ConvTranspose of any rank, its padding given."""

    op_domain = ""

    def _run(self, x: Array, w: Array, b: Array | None = None, **attributes: Any) -> tuple[Array]:
        taps, strides, dilations, groups = _geometry(w, attributes)
        before, after = _pads(x.shape[2:], taps, strides, dilations, attributes)
        extra = attributes.get("output_padding") or [0] * len(taps)
        sizes = x.shape[2:]
        full = [
            s * (n - 1) + e + d * (k - 1) + 1
            for n, k, s, d, e in zip(sizes, taps, strides, dilations, extra, strict=True)
        ]
        kernel = np.moveaxis(w.reshape(groups, -1, w.shape[1], math.prod(taps)), 3, 0).swapaxes(2, 3)
        y = np.zeros((x.shape[0], groups * w.shape[1], *full), x.dtype)
        given = x.reshape(x.shape[0], groups, -1, math.prod(sizes))
        for tap, window in _windows(taps, strides, dilations, sizes):
            y[window] += _product(kernel[tap], given).reshape(x.shape[0], -1, *sizes)
        inside: tuple[Any, ...] = (..., *(slice(lo, n - hi) for lo, hi, n in zip(before, after, full, strict=True)))
        return (y[inside] if b is None else y[inside] + b.reshape(-1, *(1,) * len(taps)),)


def _geometry(w: Array, attributes: dict[str, Any]) -> tuple[tuple[int, ...], Sequence[int], Sequence[int], int]:
    taps = w.shape[2:]
    ones = (1,) * len(taps)
    return taps, attributes.get("strides") or ones, attributes.get("dilations") or ones, attributes.get("group") or 1


def _windows(
    taps: Sequence[int], strides: Sequence[int], dilations: Sequence[int], sizes: Sequence[int]
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """For each tap, the positions of the finer map it connects to the `sizes` positions of the coarser."""
    for tap, offset in enumerate(itertools.product(*(range(k) for k in taps))):
        starts = [o * d for o, d in zip(offset, dilations, strict=True)]
        yield (
            tap,
            (..., *(slice(b, b + s * (n - 1) + 1, s) for b, s, n in zip(starts, strides, sizes, strict=True))),
        )


def _product(kernel: Array, x: Array) -> Array:
    """[groups, out, in] times [batch, groups, in, positions]."""
    part = np.ascontiguousarray(kernel)
    return part * x if part.shape[1:] == (1, 1) else part @ x


def _pads(
    sizes: Sequence[int],
    taps: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    attributes: dict[str, Any],
) -> tuple[list[int], list[int]]:
    auto = attributes.get("auto_pad") or "NOTSET"
    if not auto.startswith("SAME"):
        pads = list(attributes.get("pads") or [0] * (2 * len(taps)))
        return pads[: len(taps)], pads[len(taps) :]
    totals = [
        max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        for n, k, s, d in zip(sizes, taps, strides, dilations, strict=True)
    ]
    small = [total // 2 for total in totals]
    large = [total - total // 2 for total in totals]
    return (small, large) if auto == "SAME_UPPER" else (large, small)
