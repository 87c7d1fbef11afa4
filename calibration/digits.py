"""scikit-learn's digits: 1,797 labelled 8 x 8 pictures that come with the package, enlarged to the network's size.

They are visited in an order shuffled by a fixed seed, so that the first few hundred hold all classes and writers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.calibration.source import Sample
from edgevision.errors import DataError
from edgevision.images import preprocess

__all__ = ["Digits", "digit_picture"]


class Digits:
    """The digits, or those of them that `indices` names."""

    def __init__(
        self, size: tuple[int, int], how: Mapping[str, Any], indices: Sequence[int] | None = None, seed: int = 0
    ) -> None:
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise DataError("--data digits", "scikit-learn is not installed", "pip install scikit-learn") from error
        self.name = "scikit-learn digits"
        self.classes: Sequence[str] = tuple(map(str, range(10)))
        self._pixels, self._labels = load_digits(return_X_y=True)
        order = np.random.default_rng(seed).permutation(len(self._labels))
        self._order = order if indices is None else np.asarray(indices)
        self._size, self._how = size, how

    def __iter__(self) -> Iterator[Sample]:
        for index in self._order:
            image = preprocess(digit_picture(self._pixels[index]), self._size, self._how)
            yield Sample(image=image, label=int(self._labels[index]))

    def skipped(self) -> Sequence[str]:
        return ()


def digit_picture(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """RGB pixels [8, 8, 3] of one row of the data set, whose 64 values run from 0 to 16."""
    grey = np.round(values.reshape(8, 8) * (255 / 16)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)
