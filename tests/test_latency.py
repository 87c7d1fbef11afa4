"""Statistics of latency traces made by hand, so that every number is known beforehand."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from edgevision.latency import judge, summarize, warmed_up


def noise(n: int, level: float = 10.0, spread: float = 0.01, seed: int = 0) -> list[float]:
    return [float(x) for x in level * (1 + spread * np.random.default_rng(seed).standard_normal(n))]


def test_quantiles_are_numpys() -> None:
    samples = noise(101, spread=0.2)
    latency = summarize(samples)
    for name, q in (("p50", 50), ("p90", 90), ("p99", 99)):
        assert getattr(latency, name) == pytest.approx(np.percentile(samples, q), rel=1e-12)
    assert latency.mean == pytest.approx(np.mean(samples))
    assert latency.cv == pytest.approx(np.std(samples) / np.mean(samples))
    assert latency.samples == tuple(samples)


def test_interval_on_the_median_holds_its_promise() -> None:
    """Of many traces whose true median is 10, the 95 % interval covers it in 95 % of cases, or a little more."""
    covered = 0
    for seed in range(400):
        low, high = summarize(noise(41, seed=seed)).interval
        covered += low <= 10.0 <= high
    assert 0.94 <= covered / 400 <= 0.995


def test_interval_narrows_with_the_square_root_of_the_runs() -> None:
    def width(n: int) -> float:
        return float(np.mean([np.diff(summarize(noise(n, seed=s)).interval) for s in range(50)]))

    assert width(25) / width(400) == pytest.approx(4.0, rel=0.3)


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_few_samples(n: int) -> None:
    latency = summarize(noise(n))
    low, high = latency.interval
    assert low <= latency.p50 <= high
    assert math.isfinite(latency.cv)
    assert judge(latency)[0] == "stable"


def test_quiet_trace_is_stable() -> None:
    assert judge(summarize(noise(100))) == ("stable", ())


def test_one_outlier_does_not_unsettle_a_trace() -> None:
    samples = noise(100)
    samples[40] = 200.0
    assert judge(summarize(samples))[0] == "stable"


def test_wide_trace_is_unstable() -> None:
    verdict, reasons = judge(summarize(noise(100, spread=0.2)))
    assert verdict == "unstable"
    assert any("spreads" in reason for reason in reasons)


def test_drifting_trace_is_unstable() -> None:
    samples = [s * (1 + 0.09 * i / 100) for i, s in enumerate(noise(100, spread=0.003))]
    verdict, reasons = judge(summarize(samples))
    assert verdict == "unstable"
    assert any("moved by +" in reason for reason in reasons)


def test_a_slow_phase_in_the_middle_is_unstable() -> None:
    """Its beginning and its end agree: what a first look at both would miss."""
    samples = [s * (1.06 if 40 <= i < 60 else 1.0) for i, s in enumerate(noise(100, spread=0.005))]
    verdict, (reason,) = judge(summarize(samples))
    assert verdict == "unstable"
    assert re.fullmatch(r"the median moved by [+-]6% from runs \d+-\d+ to runs \d+-\d+", reason)


def test_a_few_slow_runs_at_the_beginning_are_unstable() -> None:
    """Twelve of a hundred, 6 % slower: fewer than a fifth, more than warming up."""
    samples = [s * (1.06 if i < 12 else 1.0) for i, s in enumerate(noise(100, spread=0.01))]
    assert judge(summarize(samples)) == (
        "unstable",
        ("the median moved by -6% from runs 1-10 to runs 11-100",),
    )


@pytest.mark.parametrize("spread", [0.01, 0.03, 0.05])
def test_noise_alone_rarely_moves_the_median(spread: float) -> None:
    verdicts = [judge(summarize(noise(100, spread=spread, seed=seed)))[0] for seed in range(200)]
    assert verdicts.count("unstable") <= 10


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_bimodal_trace_is_unstable_and_names_both_levels(share: float) -> None:
    """As when a core's clock has two states; the two levels are mixed in time, so nothing drifts."""
    fast = np.random.default_rng(1).random(100) < share
    samples = [s if f else 1.3 * s for s, f in zip(noise(100), fast, strict=True)]
    verdict, reasons = judge(summarize(samples))
    assert verdict == "unstable"
    (two,) = (reason for reason in reasons if "two groups" in reason)
    assert [float(level) for level in re.findall(r"\d+\.\d+", two)] == pytest.approx([10.0, 13.0], rel=0.01)


def test_warming_up_ends_when_runs_no_longer_fall() -> None:
    falling = [100 * 0.9**i for i in range(20)]
    assert not warmed_up(falling[:9])
    assert not warmed_up(falling)
    assert warmed_up(falling + noise(10))
