"""NPY and NPZ files, and anything Python can iterate over.

Float arrays [N, C, H, W] are network inputs as they stand. uint8 arrays [N, H, W, 3] (or [N, H, W], grey) are pictures
and are preprocessed. An NPZ holds them under `images` or `x`, labels under `labels` or `y`; with a single unlabelled
array any name will do. Images are read row by row, drawn from all over the file: it may be larger than the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.calibration.rows import Rows, names_in, rows_of
from edgevision.calibration.source import Sample
from edgevision.errors import DataError
from edgevision.images import preprocess

__all__ = ["Arrays", "Items", "Make", "read_arrays"]

Array = NDArray[Any]
#: Called for every reading of the set; what it returns is iterated over once.
Make = Callable[[], Iterable[Array | tuple[Array, int]]]


class Arrays:
    """Images in one array, with labels or without."""

    def __init__(
        self,
        name: str,
        images: Array | Rows,
        labels: Array | None,
        shape: tuple[int, int, int],
        how: Mapping[str, Any] | None,
    ) -> None:
        self.name = name
        self.classes: Sequence[str] = ()
        self._images, self._labels, self._shape, self._how = images, labels, shape, how
        if len(images) == 0:
            raise DataError(name, "it has no images", "give an array with images along its first axis")
        if labels is not None and (labels.shape != (len(images),) or labels.dtype.kind not in "iu"):
            raise DataError(
                name,
                f"its labels are {labels.dtype} {labels.shape} for {len(images)} images",
                "one integer per image",
            )

    def __iter__(self) -> Iterator[Sample]:
        rows = self._images.drawn() if isinstance(self._images, Rows) else enumerate(self._images)
        for index, item in rows:
            label = None if self._labels is None else int(self._labels[index])
            yield Sample(image=as_input(self.name, np.asarray(item), self._shape, self._how), label=label)

    def skipped(self) -> Sequence[str]:
        return ()


class Items:
    """What a function yields each time it is called: images, or pairs of an image and its label."""

    def __init__(
        self,
        make: Make,
        shape: tuple[int, int, int],
        how: Mapping[str, Any] | None = None,
        name: str = "Python iterable",
    ) -> None:
        self.name = name
        self.classes: Sequence[str] = ()
        self._make, self._shape, self._how = make, shape, how

    def __iter__(self) -> Iterator[Sample]:
        for item in self._make():
            image, label = item if isinstance(item, tuple) else (item, None)
            yield Sample(image=as_input(self.name, np.asarray(image), self._shape, self._how), label=label)

    def skipped(self) -> Sequence[str]:
        return ()


def as_input(name: str, item: Array, shape: tuple[int, int, int], how: Mapping[str, Any] | None) -> NDArray[np.float32]:
    """One picture or one network input as float32 [C, H, W].

    Raises:
        DataError: it has another shape or type.
    """
    if item.dtype == np.uint8:
        if how is None or "mean" not in how:
            raise DataError(name, "the model does not say how to preprocess pictures", "give float [N, C, H, W]")
        pixels = np.repeat(item[..., None], 3, axis=-1) if item.ndim == 2 else item
        if pixels.ndim == 3 and pixels.shape[-1] == 3 and shape[0] == 3:
            return preprocess(pixels, shape[1:], how)
    elif item.dtype.kind == "f" and item.shape == shape:
        inputs: NDArray[np.float32] = item.astype(np.float32)
        return inputs
    wanted = " x ".join(map(str, shape))
    raise DataError(
        name, f"an image is {item.dtype} {item.shape}, the model takes float {wanted}", "or give uint8 [N, H, W, 3]"
    )


def read_arrays(path: Path, shape: tuple[int, int, int], how: Mapping[str, Any] | None) -> Arrays:
    """Open an NPY or NPZ file.

    Raises:
        DataError: it cannot be read, or holds no images.
    """
    held = names_in(path)
    images = next((k for k in ("images", "x", *(held if len(held) == 1 else ())) if k in held), None)
    labels = next((k for k in ("labels", "y") if k in held), None)
    if images is None:
        names = ", ".join(held) or "nothing"
        raise DataError(str(path), f"it holds {names}", "name the images `images` and the labels `labels`")
    truth = None if labels is None else rows_of(path, labels).whole()
    return Arrays(path.name, rows_of(path, images), truth, shape, how)
