"""From a distribution to the range that 8 bits shall span.

    min-max      everything, exactly.
    percentile   all but the outermost 0.01 % of the values.
    mse          the range with the least mean of (x - Q(x))²: clipping a few large values buys a finer step.
    entropy      the range whose quantized distribution loses the least information, KL(P || Q), as in S. Migacz,
                 "8-bit inference with TensorRT" (GTC 2017), here over affine ranges too.

The last two search: first the upper, then the lower end is moved inwards, zero always staying inside. None is best for
every network: of CANDIDATES the one with the least noise is taken where no other is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edgevision.calibration.histogram import Histogram
from edgevision.errors import UsageError

__all__ = ["CANDIDATES", "METHODS", "Method", "Range", "calibrated", "least_error_scales", "parse_method"]

Method = Literal["min-max", "percentile", "entropy", "mse"]
METHODS: tuple[Method, ...] = get_args(Method)
#: What `auto` tries on the calibration set.
CANDIDATES: tuple[Method, ...] = ("percentile", "min-max", "mse")
#: Share of the values that `percentile` keeps.
KEPT = 0.9999
#: Ends tried by the searches, as shares of the whole range.
SHARES = np.linspace(1.0, 0.2, 49)

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Range:
    """Values from `low` ≤ 0 to `high` ≥ 0 are to be represented; those outside saturate."""

    low: float
    high: float


def parse_method(text: str) -> Method | None:
    """A method by name, None for `auto`; UsageError when there is none."""
    if text == "auto":
        return None
    for method in METHODS:
        if text == method:
            return method
    raise UsageError(f"--calibrator {text}", "there is no such calibrator", f"one of: auto, {', '.join(METHODS)}")


def calibrated(histogram: Histogram, method: Method, *, levels: int = 256, symmetric: bool = False) -> Range:
    """The range `method` takes for what the histogram saw.

    Args:
        histogram: of one tensor.
        method: see above.
        levels: how many values the quantized type has in use.
        symmetric: the range will be made symmetric about zero, so only its larger end counts.
    """
    whole = Range(low=min(histogram.low, 0.0), high=max(histogram.high, 0.0))
    if symmetric:
        reach = max(-whole.low, whole.high)
        whole = Range(low=-reach, high=reach)
    if method == "min-max" or len(histogram.counts) == 0:
        return whole
    if method == "percentile":
        return _percentile(histogram, whole, symmetric=symmetric)
    loss = partial(_squared_error if method == "mse" else _divergence, histogram, levels)
    return _search(whole, loss, symmetric=symmetric)


def _percentile(histogram: Histogram, whole: Range, *, symmetric: bool) -> Range:
    centres, counts = histogram.centres, histogram.counts
    unsorted = np.append(np.abs(centres) if symmetric else centres, 0.0)
    order = np.argsort(unsorted, kind="stable")
    values: Floats = unsorted[order]
    share = np.cumsum(np.append(counts, histogram.zeros)[order]) / histogram.total
    if symmetric:
        reach = min(float(values[int(np.searchsorted(share, KEPT))]), whole.high)
        return Range(low=-reach, high=reach)
    tail = (1 - KEPT) / 2
    low = float(values[int(np.searchsorted(share, tail))])
    high = float(values[min(int(np.searchsorted(share, 1 - tail)), len(order) - 1)])
    return Range(low=min(max(low, whole.low), 0.0), high=max(min(high, whole.high), 0.0))


def _search(whole: Range, loss: Callable[[Range], float], *, symmetric: bool) -> Range:
    if symmetric:
        return min((Range(low=whole.low * s, high=whole.high * s) for s in SHARES), key=loss)
    best = min((Range(low=whole.low, high=whole.high * s) for s in SHARES), key=loss)
    return min((Range(low=whole.low * s, high=best.high) for s in SHARES), key=loss)


def _squared_error(histogram: Histogram, levels: int, span: Range) -> float:
    centres = histogram.centres
    step = (span.high - span.low) / (levels - 1)
    if step <= 0:
        return float("inf")
    rounded = np.round(np.clip(centres, span.low, span.high) / step) * step
    return float(np.dot(histogram.counts, (centres - rounded) ** 2))


def _divergence(histogram: Histogram, levels: int, span: Range) -> float:
    """KL of the clipped distribution from what is left of it when each step becomes one value."""
    centres, counts = histogram.centres, histogram.counts.astype(np.float64)
    inside = (centres >= span.low) & (centres <= span.high)
    if inside.sum() < 2:
        return float("inf")
    kept = counts[inside]
    clipped = kept.copy()
    clipped[0] += counts[centres < span.low].sum()
    clipped[-1] += counts[centres > span.high].sum()
    step = (span.high - span.low) / (levels - 1)
    cell = np.round((centres[inside] - span.low) / step).astype(np.int64)
    some = kept > 0
    mass, filled = np.bincount(cell, kept), np.bincount(cell, some)
    spread = np.where(some, (mass / np.maximum(filled, 1))[cell], 0.0)
    p, q = clipped / clipped.sum(), spread / max(spread.sum(), 1e-30)
    seen = p > 0
    return float(np.sum(p[seen] * np.log(p[seen] / np.maximum(q[seen], 1e-12))))


def least_error_scales(rows: Floats, largest: int, method: Method) -> Floats:
    """Symmetric steps of weights, one per row: |w| / `largest` at its maximum, or with `mse` the one of least error.

    Args:
        rows: [channels, weights of one channel].
        largest: the largest quantized magnitude.
        method: `mse` searches; every other takes the maximum, as weights have no outliers to sacrifice.
    """
    widest: Floats = np.abs(rows).max(axis=1, keepdims=True) / largest
    widest[widest == 0] = 1.0 / largest  # a channel of zeros: any step represents it
    if method != "mse":
        return widest[:, 0]
    best, least = widest.copy(), np.full(widest.shape, np.inf)
    for share in np.linspace(1.0, 0.6, 21):
        step = widest * share
        error = ((np.clip(np.round(rows / step), -largest, largest) * step - rows) ** 2).sum(axis=1, keepdims=True)
        better = error < least
        best, least = np.where(better, step, best), np.where(better, error, least)
    scales: Floats = best[:, 0]
    return scales
