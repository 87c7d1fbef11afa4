"""Has a number dropped by more than the budget? An answer with its uncertainty, from pairs.

Both models see the same images, so only those count on which they differ. With b images that only the reference gets
right, c that only the candidate does and n in all, the adjusted Wald interval of D. Bonett and R. Price (Journal of
Educational and Behavioral Statistics 37, 2012) is

    p = (b + 1) / (n + 2),  q = (c + 1) / (n + 2),  p - q ± 1.96 sqrt((p + q - (p - q)²) / (n + 2))

which stays honest when b or c is 0. A mean over images (PSNR) has the interval of paired differences, Student's t with
n - 1 degrees of freedom, its quantile by the expansion of Cornish and Fisher. *fail* when its lower end exceeds the budget, *pass* when its upper end is within,
else *inconclusive*: more images would decide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Drop", "Verdict", "decide", "mean_drop", "paired_drop"]

Verdict = Literal["pass", "inconclusive", "fail"]
Flags = NDArray[np.bool_]
#: Degrees of freedom from which the expansion serves.
_EXPANDED = 3


@dataclass(frozen=True, kw_only=True)
class Drop:
    """A drop of quality with its 95 % interval.

    Attributes:
        points: reference minus candidate, in `unit`.
        lost, gained: images that only the reference, and only the candidate, gets right; or on which it scores higher.
        images: how many were seen.
        what, unit: of the score.
    """

    points: float
    low: float
    high: float
    lost: int
    gained: int
    images: int
    what: str = "top-1"
    unit: str = "points"


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


def mean_drop(reference: NDArray[np.float64], candidate: NDArray[np.float64], what: str, unit: str) -> Drop:
    """The drop of a mean from `reference` to `candidate`: each image's score, in the same order."""
    if reference.shape != candidate.shape or reference.size == 0:
        raise ValueError("both must have seen the same images")
    differences = reference - candidate
    n = differences.size
    mean = float(differences.mean())
    reach = _student(n - 1) * float(differences.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    lost, gained = int((differences > 0).sum()), int((differences < 0).sum())
    return Drop(
        points=mean, low=mean - reach, high=mean + reach, lost=lost, gained=gained, images=n, what=what, unit=unit
    )


def _student(degrees: int) -> float:
    """The 97.5 % quantile of Student's t; within 1 % from 3 degrees of freedom on, exact for 1 and 2."""
    if degrees < _EXPANDED:
        return (12.706205, 4.302653)[degrees - 1]
    z, v = 1.959964, degrees
    terms = (z**3 + z) / (4 * v), (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
    return float(z + sum(terms) + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3))


def decide(low: float, high: float, budget: float) -> Verdict:
    """The verdict on a quantity whose interval is [low, high] and which may be `budget` at most; NaN is a fail."""
    if not low <= budget:
        return "fail"
    return "pass" if high <= budget else "inconclusive"
