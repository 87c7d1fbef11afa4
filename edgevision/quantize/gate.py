"""Has a number dropped by more than the budget? An answer with its uncertainty, from pairs.

Both models see the same images, so only those count on which they differ. With b images that only the reference gets
right, c that only the candidate does and n in all, the adjusted Wald interval of D. Bonett and R. Price (Journal of
Educational and Behavioral Statistics 37, 2012) is

    p = (b + 1) / (n + 2),  q = (c + 1) / (n + 2),  p - q ± 1.96 sqrt((p + q - (p - q)²) / (n + 2))

which stays honest when b or c is 0. *fail* when its lower end exceeds the budget, *pass* when its upper end is within,
else *inconclusive*: more images would decide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Drop", "Verdict", "decide", "paired_drop"]

Verdict = Literal["pass", "inconclusive", "fail"]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Drop:
    """A drop of accuracy in percentage points with its 95 % interval.

    Attributes:
        points: reference minus candidate.
        lost, gained: images that only the reference, and only the candidate, gets right.
        images: how many were seen.
    """

    points: float
    low: float
    high: float
    lost: int
    gained: int
    images: int


def paired_drop(reference: Flags, candidate: Flags) -> Drop:
    """The drop from `reference` to `candidate`: which image each got right, in the same order."""
    if reference.shape != candidate.shape or reference.size == 0:
        raise ValueError("both must have seen the same images")
    n = reference.size
    lost, gained = int((reference & ~candidate).sum()), int((candidate & ~reference).sum())
    p, q = (lost + 1) / (n + 2), (gained + 1) / (n + 2)
    reach = 1.959964 * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    return Drop(
        points=100 * (lost - gained) / n,
        low=100 * (p - q - reach),
        high=100 * (p - q + reach),
        lost=lost,
        gained=gained,
        images=n,
    )


def decide(low: float, high: float, budget: float) -> Verdict:
    """The verdict on a quantity whose interval is [low, high] and which may be `budget` at most."""
    if low > budget:
        return "fail"
    return "pass" if high <= budget else "inconclusive"
