"""A source that is read many times: pictures are decoded and preprocessed at the first reading alone."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edgevision.calibration.source import Sample, Source

__all__ = ["Kept"]


class Kept:
    """The first `limit` images of `source`, float32 in a temporary file: they may be more than memory holds."""

    def __init__(self, source: Source, limit: int | None = None) -> None:
        self.name, self.classes = source.name, source.classes
        self._source, self._limit = source, limit
        self._path: Path | None = None
        self._shapes: list[tuple[int, ...]] = []
        self._labels: list[int | None] = []

    def __iter__(self) -> Iterator[Sample]:
        if self._path is None:
            self._path = self._filled()
        with self._path.open("rb") as file:
            for shape, label in zip(self._shapes, self._labels, strict=True):
                image = np.fromfile(file, np.float32, int(np.prod(shape))).reshape(shape)
                yield Sample(image=image, label=label)

    def skipped(self) -> Sequence[str]:
        return self._source.skipped()

    def _filled(self) -> Path:
        handle, name = tempfile.mkstemp(prefix="edgevision-")
        weakref.finalize(self, _removed, name)
        self._shapes, self._labels = [], []
        with os.fdopen(handle, "wb") as file:
            for index, sample in enumerate(self._source):
                if self._limit is not None and index >= self._limit:
                    break
                sample.image.astype(np.float32).tofile(file)
                self._shapes.append(sample.image.shape)
                self._labels.append(sample.label)
        return Path(name)


def _removed(name: str) -> None:
    Path(name).unlink(missing_ok=True)
