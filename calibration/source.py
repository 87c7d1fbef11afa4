"""What every reader gives: preprocessed images one at a time, so that memory does not grow with the set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Image", "Sample", "Source", "batches"]

Image = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One network input [C, H, W] and, where the data has one, its class."""

    image: Image
    label: int | None = None


class Source(Protocol):
    """A data set that can be read again from its start.

    Attributes:
        name: as a manifest states it; no path of the machine it was read on.
        classes: names of the classes in the order of their labels, empty without labels or names.
    """

    name: str
    classes: Sequence[str]

    def __iter__(self) -> Iterator[Sample]: ...

    def skipped(self) -> Sequence[str]:
        """What the last reading left out, each with its reason."""
        ...


def batches(source: Source, size: int, limit: int | None = None) -> Iterator[tuple[Image, list[int | None]]]:
    """Images stacked to [size, C, H, W] with their labels; what does not fill a last batch is left out."""
    images: list[Image] = []
    labels: list[int | None] = []
    for index, sample in enumerate(source):
        if limit is not None and index >= limit:
            return
        images.append(sample.image)
        labels.append(sample.label)
        if len(images) == size:
            yield np.stack(images), labels
            images, labels = [], []
