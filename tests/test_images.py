"""Pictures to inputs: upright, in proportion, cropped at the centre, normalised, as the manifest states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgevision.errors import DataError
from edgevision.images import preprocess, read_image, read_input

PLAIN = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0], "crop_pct": 1.0, "interpolation": "bicubic"}


def gradient(height: int, width: int) -> np.ndarray:
    """Red grows to the right, green downwards."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack((255 * x / (width - 1), 255 * y / (height - 1), 0 * x), -1).astype(np.uint8)


def test_normalises_channels_first() -> None:
    how = {**PLAIN, "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.25, 0.125]}
    pixels = np.full((8, 8, 3), (51, 102, 153), np.uint8)
    result = preprocess(pixels, (8, 8), how)
    assert result.dtype == np.float32 and result.shape == (3, 8, 8)
    expected = (np.array([0.2, 0.4, 0.6]) - how["mean"]) / how["std"]
    assert np.allclose(result, np.broadcast_to(expected[:, None, None], result.shape), atol=1e-6)


def test_a_picture_of_the_right_size_is_not_resampled() -> None:
    pixels = gradient(16, 16)
    assert np.array_equal(preprocess(pixels, (16, 16), PLAIN), (pixels / 255).astype(np.float32).transpose(2, 0, 1))


@pytest.mark.parametrize(("height", "width"), [(100, 200), (200, 100)])
def test_keeps_proportions_and_takes_the_centre(height: int, width: int) -> None:
    """Of a 2:1 gradient the middle half of the long side is left, and all of the short side."""
    result = preprocess(gradient(height, width), (50, 50), PLAIN)
    long, short = (0, 1) if width > height else (1, 0)
    across = result[long].mean(0 if long == 0 else 1)
    assert across[0] == pytest.approx(0.25, abs=0.02) and across[-1] == pytest.approx(0.75, abs=0.02)
    along = result[short].mean(1 if short == 1 else 0)
    assert along[0] < 0.02 and along[-1] > 0.98


def test_crop_pct_is_the_part_that_is_left() -> None:
    result = preprocess(gradient(100, 100), (50, 50), {**PLAIN, "crop_pct": 0.5})
    assert result[0].mean(0)[0] == pytest.approx(0.25, abs=0.02)


def test_interpolations_differ() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    ways = [preprocess(pixels, (24, 24), {**PLAIN, "interpolation": way}) for way in ("bicubic", "bilinear")]
    assert np.abs(ways[0] - ways[1]).max() > 0.01


def test_turns_by_the_cameras_note(tmp_path: Path) -> None:
    image = Image.fromarray(gradient(20, 40))
    exif = image.getexif()
    exif[0x0112] = 6  # the camera was turned a quarter
    image.save(tmp_path / "turned.png", exif=exif)
    assert read_image(tmp_path / "turned.png").shape == (40, 20, 3)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.fromarray(gradient(8, 8)).convert(mode).save(path)
    assert read_image(path).shape == (8, 8, 3)


def test_needs_to_know_how(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(gradient(8, 8)).save(path)
    with pytest.raises(DataError, match="does not say how"):
        read_input(path, (1, 3, 8, 8), None)
    with pytest.raises(DataError, match="1 channels"):
        read_input(path, (1, 1, 8, 8), PLAIN)
    assert read_input(path, (None, 3, 8, 8), PLAIN).shape == (1, 3, 8, 8)
