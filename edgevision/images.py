"""Images to network inputs, by the preprocessing a manifest states."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import DataError

__all__ = ["preprocess", "read_image", "read_input"]


def read_input(path: Path, shape: tuple[int | None, ...], how: Mapping[str, Any] | None) -> NDArray[np.float32]:
    """A picture, or a `.npy` array that is already preprocessed, as [1, C, H, W].

    Raises:
        DataError: no such file, not an image, a wrong shape, NaN or Inf.
    """
    if not path.is_file():
        raise DataError(str(path), "there is no such file", "give the path of an image")
    if path.suffix == ".npy":
        return _read_array(path, shape)
    if how is None or "mean" not in how:
        raise DataError(str(path), "the bundle does not say how to preprocess images", "give a .npy array instead")
    channels, height, width = shape[1:]
    if channels != 3 or height is None or width is None:
        raise DataError(str(path), f"the model takes {channels} channels, an image has 3", "give a .npy array instead")
    return preprocess(read_image(path), (height, width), how)[None]


def read_image(path: Path) -> NDArray[np.uint8]:
    """RGB pixels [H, W, 3] of a picture, turned upright by its EXIF orientation.

    Raises:
        DataError: it is not an image that Pillow reads.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(str(path), f"it is not a readable image ({error})", "give a PNG or JPEG") from error
    return np.asarray(upright)


def preprocess(pixels: NDArray[np.uint8], size: tuple[int, int], how: Mapping[str, Any]) -> NDArray[np.float32]:
    """Resize so that the centre crop of `size` is `crop_pct` of the picture, crop, normalise; [C, H, W].

    Args:
        pixels: RGB, [H, W, 3].
        size: height and width of the result.
        how: `mean`, `std`, `crop_pct`, `interpolation`, as a card states them.
    """
    from PIL import Image

    image = Image.fromarray(pixels)
    filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
    wanted = how.get("interpolation", "bilinear")
    resample = filters.get(wanted, getattr(Image.Resampling, str(wanted).upper(), Image.Resampling.BILINEAR))
    height, width = size
    scale = max(height / image.height, width / image.width) / float(how.get("crop_pct", 1.0))
    image = image.resize((max(width, round(image.width * scale)), max(height, round(image.height * scale))), resample)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    cropped = np.asarray(image.crop((left, top, left + width, top + height)), np.float32) / 255
    mean, std = np.asarray(how["mean"], np.float32), np.asarray(how["std"], np.float32)
    return np.ascontiguousarray(((cropped - mean) / std).transpose(2, 0, 1), np.float32)


def _read_array(path: Path, shape: tuple[int | None, ...]) -> NDArray[np.float32]:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(str(path), f"it is not a NumPy array ({error})", "save it with numpy.save") from error
    if array.ndim == len(shape) - 1:
        array = array[None]
    fits = array.ndim == len(shape) and all(w is None or w == g for w, g in zip(shape, array.shape, strict=True))
    if not fits or array.dtype.kind != "f":
        wanted = " x ".join("batch" if d is None else str(d) for d in shape)
        raise DataError(str(path), f"it is {array.dtype} {array.shape}, the model takes float {wanted}", "reshape it")
    if not np.isfinite(array).all():
        raise DataError(str(path), "it has NaN or Inf", "clean the array first")
    values: NDArray[np.float32] = array.astype(np.float32)
    return values
