"""How far two results are apart: the one measure every proof, gate and report of edgevision uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Difference", "difference", "worst_difference", "worst_of"]


@dataclass(frozen=True)
class Difference:
    """Distance of a result from its reference.

    Attributes:
        max_abs_over_std: max|a - b| / std(reference); the unit of every tolerance here.
        relative_l2: ||a - b|| / ||reference||.
    """

    max_abs_over_std: float
    relative_l2: float


def difference(reference: NDArray[np.generic], result: NDArray[np.generic]) -> Difference:
    """Distance of `result` from `reference`, computed in float64.

    A constant reference has no spread to measure by: its largest magnitude, or 1 where that is 0, takes the place of
    the standard deviation. A NaN, an infinity that is not in both, or a different shape is an infinite distance.
    """
    if reference.shape != result.shape:
        return Difference(float("inf"), float("inf"))
    a, b = np.asarray(reference, np.float64), np.asarray(result, np.float64)
    if a.size == 0:
        return Difference(0.0, 0.0)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        same = bool(np.array_equal(a, b) and not np.isnan(a).any())
        return Difference(0.0, 0.0) if same else Difference(float("inf"), float("inf"))
    gap = np.abs(a - b)
    magnitude = float(np.abs(a).max())
    scale = float(a.std())
    if scale <= 1e-12 * magnitude or scale == 0.0:
        scale = magnitude or 1.0
    norm = float(np.linalg.norm(a)) or 1.0
    return Difference(float(gap.max()) / scale, float(np.linalg.norm(gap)) / norm)


def worst_difference(references: Sequence[NDArray[np.generic]], results: Sequence[NDArray[np.generic]]) -> Difference:
    """The largest of both distances over several tensors; infinite when their number differs."""
    if len(references) != len(results):
        return Difference(float("inf"), float("inf"))
    return worst_of([difference(a, b) for a, b in zip(references, results, strict=True)])


def worst_of(differences: Sequence[Difference]) -> Difference:
    """The largest of both distances; none of nothing."""
    return Difference(
        max((d.max_abs_over_std for d in differences), default=0.0),
        max((d.relative_l2 for d in differences), default=0.0),
    )
