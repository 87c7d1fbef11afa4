"""What `--data` names: a folder of images, an NPY or NPZ file, or `digits`; from Python also whatever yields images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgevision.calibration.arrays import Items, Make, read_arrays
from edgevision.calibration.digits import Digits
from edgevision.calibration.folder import Folder
from edgevision.calibration.source import Source
from edgevision.errors import DataError

__all__ = ["open_data"]


def open_data(text: str | Make, shape: tuple[int, int, int], how: Mapping[str, Any] | None) -> Source:
    """The data set called `text`, for a network that takes [C, H, W] = `shape`.

    Args:
        text: `digits`, a path, or a function that yields images (or pairs of an image and its label) whenever it is called.
        shape: of one network input.
        how: the card's preprocessing; None for a model that has no card.

    Raises:
        DataError: there is no such data, or pictures for a model that does not say how to preprocess them.
    """
    if not isinstance(text, str):
        return Items(text, shape, how)
    path = Path(text)
    if text != "digits" and path.suffix.lower() in (".npy", ".npz"):
        if not path.is_file():
            raise DataError(str(path), "there is no such file", "give a folder of images, an NPZ file, or `digits`")
        return read_arrays(path, shape, how)
    if how is None or "mean" not in how:
        raise DataError(text, "the model does not say how to preprocess images", "give float arrays in an NPZ file")
    if shape[0] != 3:
        raise DataError(
            text, f"the model takes {shape[0]} channels, an image has 3", "give float arrays in an NPZ file"
        )
    return Digits(shape[1:], how) if text == "digits" else Folder(path, shape[1:], how)
