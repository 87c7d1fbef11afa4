"""Quantiles of a trace with the distribution-free interval from order statistics.

The number of samples below the q-quantile is binomial (n, q), so the order statistics of ranks n q -/+ 1.96
sqrt(n q (1 - q)) enclose it with about 95 % (Conover, Practical Nonparametric Statistics, section 3.2). Where the upper
rank lies beyond the sample, there is no upper bound, and saying so is part of the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["quantile", "quantile_interval"]


def quantile(ordered: Sequence[float], q: float) -> float:
    """Linear between the nearest ranks of a sorted, non-empty sequence."""
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def quantile_interval(ordered: Sequence[float], q: float) -> tuple[float | None, float | None]:
    """95 % interval on the q-quantile of a sorted sequence; None on a side where the sample is too small."""
    n = len(ordered)
    reach = 1.96 * math.sqrt(n * q * (1 - q))
    low, high = math.floor(n * q - reach), math.ceil(n * q + reach)
    return (ordered[low - 1] if low >= 1 else None), (ordered[high - 1] if high <= n else None)
