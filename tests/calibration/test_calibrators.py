"""Histograms are exact and independent of the order of the stream; each method takes the range its definition says."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.calibration.calibrators import Method, calibrated, least_error_scales, parse_method
from edgevision.calibration.histogram import BINS, Histogram
from edgevision.errors import DataError, UsageError

RNG = np.random.default_rng(0)


def histogram_of(*parts: np.ndarray) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(part)
    return histogram


def test_any_order_gives_the_same_counts_and_memory_is_bounded() -> None:
    parts = [RNG.standard_normal(1000) * scale for scale in (1e-3, 50.0, 1.0, 7.0)]
    one, other = histogram_of(*parts), histogram_of(*reversed(parts))
    assert one.width == other.width
    assert np.array_equal(one.counts, other.counts)
    assert len(one.counts) <= BINS
    assert one.total == 4000
    together = np.concatenate(parts)
    assert (one.low, one.high) == (together.min(), together.max())
    exact = np.bincount(np.floor(together / one.width).astype(int) - int(np.floor(together.min() / one.width)))
    assert np.array_equal(np.trim_zeros(one.counts), np.trim_zeros(exact))


def test_zeros_apart_constants_and_nan() -> None:
    histogram = histogram_of(np.zeros(10), np.array([0.0, 3.0, 3.0]))
    assert (histogram.zeros, histogram.counts.sum(), histogram.high) == (11, 2, 3.0)
    with pytest.raises(DataError, match="NaN"):
        histogram.add(np.array([1.0, np.nan]))


def mean_squared_error(values: np.ndarray, low: float, high: float) -> float:
    step = (high - low) / 255
    return float(np.mean((np.round(values.clip(low, high) / step) * step - values) ** 2))


def test_methods_on_a_distribution_with_an_outlier() -> None:
    values = np.append(RNG.standard_normal(200_000), 80.0)
    histogram = histogram_of(values)
    ranges = {m: calibrated(histogram, m) for m in ("min-max", "percentile", "mse", "entropy")}
    assert ranges["min-max"].high == 80.0
    assert ranges["percentile"].high == pytest.approx(np.quantile(values, 0.99995), rel=0.05)
    assert ranges["percentile"].low == pytest.approx(np.quantile(values, 0.00005), rel=0.05)
    error = {m: mean_squared_error(values, r.low, r.high) for m, r in ranges.items()}
    assert error["mse"] < error["min-max"]
    for share in (0.25, 0.5, 0.75):  # no other upper end does better
        assert error["mse"] <= mean_squared_error(values, ranges["mse"].low, 80 * share) * 1.02
    assert ranges["entropy"].high < 40


@pytest.mark.parametrize("method", ["min-max", "percentile", "mse", "entropy"])
def test_ranges_hold_zero_and_symmetric_ones_are(method: Method) -> None:
    positive = calibrated(histogram_of(RNG.uniform(3, 4, 5000)), method)
    assert positive.low == 0.0 < positive.high
    both = calibrated(histogram_of(RNG.uniform(-1, 4, 5000)), method, symmetric=True)
    assert both.low == -both.high
    nothing = calibrated(histogram_of(np.zeros(5)), method)
    assert (nothing.low, nothing.high) == (0.0, 0.0)


def test_weight_scales() -> None:
    rows = RNG.standard_normal((4, 2000))
    rows[1] = 0
    rows[2, 0] = 9.0
    plain, searched = (least_error_scales(rows, 127, m) for m in ("min-max", "mse"))
    assert plain[2] == pytest.approx(9 / 127)
    assert np.all(plain > 0)

    def error(scales: np.ndarray) -> np.ndarray:
        step = scales[:, None]
        return ((np.round(rows / step).clip(-127, 127) * step - rows) ** 2).sum(1)

    assert np.all(error(searched) <= error(plain))


def test_unknown_method() -> None:
    assert parse_method("mse") == "mse"
    with pytest.raises(UsageError, match="no such calibrator"):
        parse_method("guess")
