"""Sets that would make INT8 silently wrong are refused; the hash follows the content alone."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.calibration.arrays import Arrays
from edgevision.calibration.digits import Digits
from edgevision.calibration.examine import Examined, examine
from edgevision.errors import DataError

HOW = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
SHAPE = (3, 6, 6)
NOISE = np.random.default_rng(0).standard_normal((20, *SHAPE)).astype(np.float32).clip(-2, 2)


def judge(images: np.ndarray, name: str = "set") -> Examined:
    return examine(Arrays(name, images, None, SHAPE, HOW), HOW)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (NOISE[:5], "calibration needs 16"),
        (np.zeros_like(NOISE), "every value is the same"),
        (np.repeat(NOISE[:1], 20, 0), "all images are the same"),
        (np.where(np.arange(20).reshape(-1, 1, 1, 1) == 7, np.float32("nan"), NOISE), "image 7 has NaN"),
        (np.abs(NOISE) * 100, "its values run from"),
        (np.abs(NOISE) / 2, "pixels from 0 to 1"),
    ],
)
def test_refused(images: np.ndarray, said: str) -> None:
    with pytest.raises(DataError, match=said):
        judge(images)


def test_hash_follows_content() -> None:
    assert judge(NOISE).sha256 == judge(NOISE.copy(), "renamed").sha256 != judge(NOISE[::-1]).sha256


def test_noise_draws_a_warning_pictures_do_not() -> None:
    assert "looks like noise" in judge(NOISE).warnings[0]
    how = {**HOW, "interpolation": "bicubic"}
    assert examine(Digits((32, 32), how, indices=range(20)), how).warnings == ()
