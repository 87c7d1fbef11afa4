"""What the gate decides by: intervals that hold what they promise, verdicts, and answers that are all counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_nets import SHAPE

from edgevision.calibration.arrays import Arrays
from edgevision.errors import DataError
from edgevision.quantize.baseline import from_hex, read_baseline, to_hex
from edgevision.quantize.evaluate import evaluate
from edgevision.quantize.gate import decide, mean_drop, paired_drop


def verdict(lost: int, gained: int, images: int, budget: float) -> str:
    reference, candidate = np.ones(images, bool), np.ones(images, bool)
    candidate[:lost] = False
    reference[lost : lost + gained] = False
    drop = paired_drop(reference, candidate)
    assert drop.low < drop.points < drop.high or lost == gained
    assert (drop.lost, drop.gained) == (lost, gained)
    return decide(drop.low, drop.high, budget)


def test_one_changed_prediction_in_two_hundred_is_inconclusive() -> None:
    assert verdict(1, 0, 200, 0.4) == "inconclusive"
    assert verdict(40, 0, 200, 0.4) == "fail"
    assert verdict(2, 2, 10_000, 0.4) == "pass"


def test_interval_holds_the_true_drop_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        cells = rng.choice(3, size=300, p=[0.96, 0.03, 0.01])
        drop = paired_drop(cells != 2, cells != 1)
        held += drop.low <= 2.0 <= drop.high
    assert 930 <= held <= 985


def test_interval_of_a_mean_holds_it_too() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        reference = rng.normal(30, 5, 5)
        drop = mean_drop(reference, reference - rng.normal(0.2, 0.1, 5), "PSNR", "dB")
        held += drop.low <= 0.2 <= drop.high
    assert 930 <= held <= 970
    assert mean_drop(reference[:1], reference[:1], "PSNR", "dB").high == np.inf


def test_bits_survive(tmp_path: Path) -> None:
    flags = np.random.default_rng(1).random(13) > 0.5
    assert np.array_equal(from_hex(to_hex(flags), 13), flags)
    with pytest.raises(DataError, match="no such baseline"):
        read_baseline(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(DataError, match="not a baseline"):
        read_baseline(tmp_path / "bad.json")


class Answers:
    """A runner whose answers are known: the class of an image is its first number; `nan` images have none."""

    inputs = outputs = ()

    def __init__(self, batch: int, nan: tuple[int, ...] = ()) -> None:
        self._batch, self._nan = batch, nan

    def __call__(self, feeds: np.ndarray) -> list[np.ndarray]:
        assert len(feeds) == self._batch
        classes = feeds[:, 0, 0, 0].astype(int)
        scores = np.eye(10)[classes]
        scores[np.isin(classes, self._nan)] = np.nan
        return [scores]


def counted(count: int, labels: list[int]) -> Arrays:
    images = np.zeros((count, *SHAPE), np.float32)
    images[:, 0, 0, 0] = np.arange(count)
    return Arrays("counted", images, np.asarray(labels), SHAPE, None)


def test_every_image_counts_whatever_the_batch() -> None:
    for batch in (1, 4):
        right = Answers(batch)
        found = evaluate({"a": right, "b": right}, "a", counted(10, list(range(10))), None, batch)  # type: ignore[dict-item]
        assert (found.images, found.scores["b"].top1.sum()) == (10, 10)  # type: ignore[union-attr]
    assert evaluate({"a": Answers(4)}, "a", counted(10, list(range(10))), 7, 4).images == 7  # type: ignore[dict-item]


def test_an_answer_that_is_not_finite_is_wrong() -> None:
    runners = {"a": Answers(1), "b": Answers(1, nan=(0, 1))}
    found = evaluate(runners, "a", counted(10, list(range(10))), None, 1)  # type: ignore[arg-type]
    assert found.scores["b"].top1.sum() == 8  # type: ignore[union-attr]
    assert found.scores["b"].snr_db == -np.inf
    assert decide(np.nan, np.nan, 0.5) == "fail"
