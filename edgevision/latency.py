"""Statistics of a latency trace, and whether it may be believed.

The interval on the median is the distribution-free one from order statistics (binomial, 95 %): it takes the runs for
independent. A trace is `unstable` when its middle spreads, when its median moves from one part of it to another, or
when it has two levels: the median of such a trace depends on when one looked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Literal

__all__ = ["Latency", "Verdict", "judge", "summarize", "warmed_up"]

Verdict = Literal["stable", "unstable", "emulated"]

#: Spread of the middle half over the median, above which a trace is called unstable.
LARGEST_SPREAD = 0.10
#: Change of the median from one part of a trace to another, above which it moves: what repeated measurements may differ by.
LARGEST_CHANGE = 0.03
#: A trace is looked at in fifths, in thirds when a fifth would be fewer runs than ten, as a whole below nine; and cut in
#: two at every twentieth of it.
MANY, FEW, CUTS = 50, 9, 20


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds of the timed runs.

    Attributes:
        cv: standard deviation over mean.
        interval: 95 % interval on the median.
        samples: every run, in order.
    """

    p50: float
    p90: float
    p99: float
    mean: float
    cv: float
    interval: tuple[float, float]
    samples: tuple[float, ...]


def summarize(samples: Sequence[float]) -> Latency:
    """Statistics of at least one sample, in milliseconds."""
    ordered = sorted(samples)
    n = len(ordered)
    mean = sum(ordered) / n
    deviation = math.sqrt(sum((s - mean) ** 2 for s in ordered) / n)
    reach = 1.96 * math.sqrt(n) / 2
    low, high = max(0, math.floor((n - 1) / 2 - reach)), min(n - 1, math.ceil((n - 1) / 2 + reach))
    return Latency(
        p50=_quantile(ordered, 0.5),
        p90=_quantile(ordered, 0.9),
        p99=_quantile(ordered, 0.99),
        mean=mean,
        cv=deviation / mean if mean else 0.0,
        interval=(ordered[low], ordered[high]),
        samples=tuple(samples),
    )


def judge(latency: Latency) -> tuple[Verdict, tuple[str, ...]]:
    """Whether the trace is stable, and if not, every reason."""
    ordered = sorted(latency.samples)
    reasons = []
    spread = (_quantile(ordered, 0.75) - _quantile(ordered, 0.25)) / latency.p50
    if spread > LARGEST_SPREAD:
        reasons.append(f"the middle half of the runs spreads over {spread:.0%} of the median")
    moved = _moved(latency.samples)
    if moved is not None:
        reasons.append(moved)
    gap = _two_levels(ordered)
    if gap is not None:
        reasons.append(f"the runs fall into two groups, {gap[0]:.2f} and {gap[1]:.2f} ms")
    return ("unstable" if reasons else "stable"), tuple(reasons)


def warmed_up(samples: Sequence[float]) -> bool:
    """Whether the last five runs are within 5 % of the five before them: warming up has ended."""
    if len(samples) < 10:
        return False
    before, after = sorted(samples[-10:-5])[2], sorted(samples[-5:])[2]
    return abs(after / before - 1) < 0.05


def _quantile(ordered: Sequence[float], q: float) -> float:
    """Linear between the nearest ranks."""
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def _moved(samples: Sequence[float]) -> str | None:
    """How far apart the medians of two parts of a trace are, when it is more than chance.

    Compared are the fifths among each other, and what is before a moment with what is after it. Beyond chance are
    intervals that do not overlap. Slow phases of a shared machine show here, and a clock that falls while a processor
    gets warm.
    """
    n = len(samples)
    if n < FEW:
        return None
    count = 5 if n >= MANY else 3
    parts = [(n * i // count, n * (i + 1) // count) for i in range(count)]
    pairs = list(combinations(parts, 2))
    if n >= MANY:
        pairs += [((0, n * i // CUTS), (n * i // CUTS, n)) for i in range(2, CUTS - 1)]
    known = {part: summarize(samples[slice(*part)]) for part in dict.fromkeys(chain.from_iterable(pairs))}
    changes = [
        (known[b].p50 / known[a].p50, a, b)
        for a, b in pairs
        if max(known[a].interval[0], known[b].interval[0]) > min(known[a].interval[1], known[b].interval[1])
    ]
    ratio, a, b = max(changes, key=lambda change: abs(math.log(change[0])), default=(1.0, (0, 0), (0, 0)))
    if abs(ratio - 1) <= LARGEST_CHANGE:
        return None
    return f"the median moved by {ratio - 1:+.0%} from runs {a[0] + 1}-{a[1]} to runs {b[0] + 1}-{b[1]}"


def _two_levels(ordered: Sequence[float]) -> tuple[float, float] | None:
    """Medians of the two groups when a trace is bimodal, else None.

    The best split in two explains nearly all of the variance, both groups are sizeable, and they lie more than 10 %
    apart.
    """
    n = len(ordered)
    if n < 20:
        return None
    total, best, at = sum(ordered), 0.0, 0
    mean, left = total / n, 0.0
    for i, sample in enumerate(ordered[:-1], start=1):
        left += sample
        between = i * (left / i - mean) ** 2 + (n - i) * ((total - left) / (n - i) - mean) ** 2
        if between > best:
            best, at = between, i
    variance = sum((s - mean) ** 2 for s in ordered)
    low, high = _quantile(ordered[:at], 0.5), _quantile(ordered[at:], 0.5)
    if best > 0.85 * variance and min(at, n - at) >= n // 8 and high > 1.1 * low:
        return low, high
    return None
