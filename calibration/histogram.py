"""A histogram of a stream whose range is not known beforehand, in bounded memory.

Bins are [i w, (i+1) w) with w a power of two. When the values outgrow BINS bins, w doubles and neighbours merge, which
is exact because floor(floor(x / w) / 2) = floor(x / 2w): w follows from the range alone, and the result does not depend
on the order or the batching of the stream. Zeros, which ReLU and padding make in masses and which every quantizer
represents exactly, are counted apart.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import DataError

__all__ = ["BINS", "Histogram"]

BINS = 4096


class Histogram:
    """Counts of the non-zero values of a stream, with its exact minimum and maximum."""

    def __init__(self) -> None:
        self.low, self.high = math.inf, -math.inf
        self.zeros = 0
        self.width = 0.0
        self._first = 0  # bin number of counts[0]
        self._counts: NDArray[np.int64] = np.zeros(0, np.int64)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Counts of the bins, lowest first."""
        return self._counts

    @property
    def centres(self) -> NDArray[np.float64]:
        """Middles of the bins."""
        return np.asarray((self._first + np.arange(len(self._counts)) + 0.5) * self.width, np.float64)

    @property
    def total(self) -> int:
        """How many values were seen, zeros among them."""
        return int(self._counts.sum()) + self.zeros

    def add(self, values: NDArray[Any]) -> None:
        """Count a batch.

        Raises:
            DataError: it has NaN or Inf.
        """
        flat = values.reshape(-1)
        if flat.size == 0:
            return
        low, high = float(flat.min()), float(flat.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise DataError("calibration", "an activation is NaN or Inf", "check the weights and the data")
        self.low, self.high = min(self.low, low), max(self.high, high)
        zeros = flat.size - int(np.count_nonzero(flat))
        some = flat[flat != 0] if zeros else flat
        self.zeros += zeros
        if some.size == 0:
            return
        self._widen(max(self._needed_width(), self.width))
        numbers = some / np.asarray(self.width, some.dtype)
        numbers = np.floor(numbers, out=numbers).astype(np.int64)
        self._cover(int(numbers.min()), int(numbers.max()))
        self._counts += np.bincount(numbers - self._first, minlength=len(self._counts))

    def state(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Counts and the rest, from which `restored` makes the same histogram."""
        return self._counts, np.array([self.low, self.high, self.zeros, self.width, self._first], np.float64)

    @classmethod
    def restored(cls, counts: NDArray[np.int64], rest: NDArray[np.float64]) -> Histogram:
        """The histogram whose `state` these are."""
        made = cls()
        made.low, made.high, made.width = float(rest[0]), float(rest[1]), float(rest[3])
        made.zeros, made._first, made._counts = int(rest[2]), int(rest[4]), np.asarray(counts, np.int64)
        return made

    def _needed_width(self) -> float:
        """The smallest power of two with which [low, high] fits, one bin spare at each end."""
        span = max(self.high, 0.0) - min(self.low, 0.0)
        return float(2.0 ** max(-126, math.ceil(math.log2(span / (BINS - 2)))))

    def _widen(self, width: float) -> None:
        if len(self._counts) == 0:
            self.width = width
        while self.width < width:
            first = self._first // 2
            merged = np.zeros((self._first + len(self._counts) - 1) // 2 - first + 1, np.int64)
            np.add.at(merged, (self._first + np.arange(len(self._counts))) // 2 - first, self._counts)
            self._first, self._counts, self.width = first, merged, self.width * 2

    def _cover(self, lowest: int, highest: int) -> None:
        if len(self._counts) == 0:
            self._first = lowest
        before = max(0, self._first - lowest)
        after = max(0, highest - (self._first + len(self._counts) - 1))
        if before or after:
            self._counts = np.pad(self._counts, (before, after))
            self._first -= before
