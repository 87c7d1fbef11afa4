"""k-fold cross-validation: every sample is tested once, by a network that has not seen it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import UsageError

__all__ = ["Fold", "folds"]

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One division of a data set; both hold indices of samples, and together all of them."""

    train: Indices
    test: Indices


def folds(labels: NDArray[np.int64], count: int, seed: int) -> tuple[Fold, ...]:
    """`count` stratified folds: each class is shuffled and dealt out evenly, so that all folds have its share.

    Args:
        labels: class of each sample, [N].
        count: of folds, from 2.
        seed: other seeds give other folds.

    Raises:
        UsageError: fewer than two folds, or more than samples of some class.
    """
    least = int(np.bincount(labels).min(where=np.bincount(labels) > 0, initial=len(labels)))
    if not 2 <= count <= least:
        raise UsageError(f"{count} folds", f"the rarest class has {least} samples", f"give 2 to {least}")
    rng = np.random.default_rng(seed)
    dealt = np.empty(len(labels), np.int64)
    start = 0
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        dealt[members] = (start + np.arange(len(members))) % count
        start += len(members)  # the next class begins where this one ended: folds differ by one sample at most
    return tuple(Fold(train=np.flatnonzero(dealt != k), test=np.flatnonzero(dealt == k)) for k in range(count))
