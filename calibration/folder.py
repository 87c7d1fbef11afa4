"""An image folder: pictures anywhere below it; where all lie in subfolders, those are the classes, sorted by name.

Pictures are visited in an order shuffled by a fixed seed, so that the first few hundred, which calibration takes, are of
all classes. One that cannot be read is skipped, counted and named; more than one in a hundred is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.calibration.source import Sample
from edgevision.errors import DataError
from edgevision.images import preprocess, read_image

__all__ = ["Folder"]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
#: Share of unreadable pictures above which the folder is refused.
LARGEST_SHARE = 0.01


class Folder:
    """Pictures of a folder, preprocessed to `size` as `how` states."""

    def __init__(self, path: Path, size: tuple[int, int], how: Mapping[str, Any]) -> None:
        if not path.is_dir():
            raise DataError(str(path), "there is no such folder", "give a folder of images, an NPZ file, or `digits`")
        self.name = path.name
        self._size, self._how = size, how
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not found:
            raise DataError(
                str(path), "there are no images in it", f"images end in {', '.join(sorted(SUFFIXES))} (any case)"
            )
        self._files = [found[i] for i in np.random.default_rng(0).permutation(len(found))]
        parts = [file.relative_to(path).parts for file in self._files]
        self.classes: Sequence[str] = sorted({p[0] for p in parts}) if all(len(p) > 1 for p in parts) else ()
        self._labels = [self.classes.index(p[0]) if self.classes else None for p in parts]
        self._check_class_folders(path)
        self._skipped: list[str] = []

    def _check_class_folders(self, path: Path) -> None:
        empty = sorted(d.name for d in path.iterdir() if d.is_dir() and d.name not in self.classes)
        if self.classes and empty:
            raise DataError(
                str(path),
                f"no images in the class folders {', '.join(empty[:5])}: every label after them would be wrong",
                "fill these folders, or remove them with the class they stand for",
            )

    def __iter__(self) -> Iterator[Sample]:
        self._skipped = []
        for file, label in zip(self._files, self._labels, strict=True):
            try:
                pixels = read_image(file)
            except DataError as error:
                self._skip(file, error)
                continue
            yield Sample(image=preprocess(pixels, self._size, self._how), label=label)

    def _skip(self, file: Path, error: DataError) -> None:
        self._skipped.append(f"{file.name}: {error.reason}")
        if len(self._skipped) > LARGEST_SHARE * len(self._files):
            raise DataError(
                self.name,
                f"more than 1 % of its {len(self._files)} images cannot be read ({self._skipped[0]}, …)",
                "repair or remove them",
            ) from error

    def skipped(self) -> Sequence[str]:
        return tuple(self._skipped)
