"""A calibration set is looked at before it decides anything: most INT8 accidents begin with the wrong data.

Refused are sets that are tiny, constant, not finite, or not normalised as the card states. A normalised pixel lies
within [(0 - mean) / std, (1 - mean) / std]; values far outside are pixels in 0..255, and values that never fall below
zero where the mean is well above it are pixels in 0..1. Random noise cannot be told from data by its range, but
neighbouring pixels of pictures are alike and those of noise are not: it draws a warning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevision.calibration.source import Image, Source
from edgevision.errors import DataError

__all__ = ["LEAST_IMAGES", "Examined", "Examiner", "examine"]

#: Fewer images than this do not show the range of an activation.
LEAST_IMAGES = 16
#: Correlation of horizontal neighbours, below which a set looks like noise; that of photographs is above 0.9.
NOISE = 0.2


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A set that has been accepted.

    Attributes:
        name: of the source.
        images: how many were read.
        sha256: of all network inputs in order.
        skipped: pictures that could not be read.
        warnings: what is odd about it and not wrong.
    """

    name: str
    images: int
    sha256: str
    skipped: Sequence[str] = ()
    warnings: Sequence[str] = ()


class Examiner:
    """Sees every image once, as it passes by."""

    def __init__(self, name: str, how: Mapping[str, Any] | None) -> None:
        self.name, self._how = name, how
        self._digest = hashlib.sha256()
        self._count = 0
        self._low, self._high = float("inf"), float("-inf")
        self._varied = False
        self._first: Image | None = None
        self._products = np.zeros(3)  # of neighbours: sum of ab, of a², of b², each image's mean taken off

    def see(self, image: Image) -> None:
        """Take one network input [C, H, W] into account.

        Raises:
            DataError: it has NaN or Inf.
        """
        if not np.isfinite(image).all():
            raise DataError(self.name, f"image {self._count} has NaN or Inf", "clean the data first")
        self._digest.update(np.ascontiguousarray(image).data)
        self._low, self._high = min(self._low, float(image.min())), max(self._high, float(image.max()))
        self._first = image if self._first is None else self._first
        self._varied = self._varied or not np.array_equal(image, self._first)
        if image.shape[-1] > 1:
            flat = image - image.mean(axis=(-2, -1), keepdims=True)
            left, right = flat[..., :-1].ravel(), flat[..., 1:].ravel()
            self._products += (left @ right, left @ left, right @ right)
        self._count += 1

    def verdict(self, skipped: Sequence[str] = ()) -> Examined:
        """Accept or refuse what was seen.

        Raises:
            DataError: the set is tiny, constant, or not normalised as the card states.
        """
        if self._count < LEAST_IMAGES:
            raise DataError(
                self.name, f"it has {self._count} images, calibration needs {LEAST_IMAGES}", "a few hundred serve best"
            )
        if self._low == self._high or not self._varied:
            what = "every value is the same" if self._low == self._high else "all images are the same"
            raise DataError(self.name, what, "calibrate on images like those the model will see")
        self._check_normalised()
        return Examined(
            name=self.name,
            images=self._count,
            sha256=self._digest.hexdigest(),
            skipped=tuple(skipped),
            warnings=tuple(self._warnings()),
        )

    def _check_normalised(self) -> None:
        if self._how is None or "mean" not in self._how:
            return
        mean, std = np.asarray(self._how["mean"], float), np.asarray(self._how["std"], float)
        low, high = float((-mean / std).min()), float(((1 - mean) / std).max())
        slack = high - low
        mend = "normalise as the card states, or give uint8 pictures, which are normalised for you"
        said = (
            f"its values run from {self._low:.3g} to {self._high:.3g}, normalised images from {low:.2f} to {high:.2f}"
        )
        if self._high > high + slack or self._low < low - slack:
            raise DataError(self.name, said, mend)
        if self._low >= 0 and self._high <= 1 and float((mean / std).min()) > 1:
            raise DataError(self.name, f"{said}: these are pixels from 0 to 1", mend)

    def _warnings(self) -> list[str]:
        both, left, right = self._products
        alike = both / np.sqrt(left * right) if left * right > 0 else 1.0
        if alike < NOISE:
            return [
                f"the calibration set {self.name} looks like noise (neighbouring pixels correlate by {alike:.2f}): "
                "INT8 ranges taken from noise do not fit images"
            ]
        return []


def examine(source: Source, how: Mapping[str, Any] | None, limit: int | None = None) -> Examined:
    """Read a set once and judge it."""
    examiner = Examiner(source.name, how)
    for index, sample in enumerate(source):
        if limit is not None and index >= limit:
            break
        examiner.see(sample.image)
    return examiner.verdict(source.skipped())
