"""A calibration that is killed goes on where it was, and comes to the same ranges."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_nets import pictures, residual_net

from edgevision.cache import Cache
from edgevision.calibration.calibrators import Range
from edgevision.calibration.examine import examine
from edgevision.calibration.histogram import Histogram
from edgevision.calibration.source import Sample
from edgevision.quantize import calibrate as module
from edgevision.quantize import observe as observing
from edgevision.quantize.calibrate import CalibrationSet, calibrate
from edgevision.quantize.progress import Progress

TENSORS = ["image", "v1", "v4"]


class Killed:
    """The pictures, whose reader is killed after some of them."""

    def __init__(self, after: int | None) -> None:
        self.name, self.classes, self._after, self._all = "killed", (), after, pictures(40)

    def __iter__(self) -> Iterator[Sample]:
        for index, sample in enumerate(self._all):
            if index == self._after:
                raise KeyboardInterrupt
            yield sample

    def skipped(self) -> tuple[str, ...]:
        return ()


def ranges(after: int | None, cache: Cache) -> dict[str, Range]:
    data = CalibrationSet(source=Killed(after), examined=examine(pictures(40), None), method="percentile", limit=None)
    found = calibrate(residual_net(), TENSORS, data, symmetric=False, cache=cache, report=lambda _: None)
    return found["percentile"]


def test_killed_calibration_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Progress", lambda cache, key: Progress(cache=cache, key=key, seconds=0.0))
    whole = ranges(None, Cache(root=tmp_path / "whole"))
    cache = Cache(root=tmp_path / "cache")
    with pytest.raises(KeyboardInterrupt):
        ranges(30, cache)
    runs = []
    monkeypatch.setattr(observing.Histogram, "add", _counting(runs))
    assert ranges(None, cache) == whole
    assert len(runs) == 10 * len(TENSORS)
    assert len(list((tmp_path / "cache").iterdir())) == 1  # the ranges; what led to them is gone
    runs.clear()
    assert ranges(None, cache) == whole
    assert runs == []


def _counting(runs: list[None]) -> object:
    add = Histogram.add

    def counted(self: Histogram, values: np.ndarray) -> None:
        runs.append(None)
        add(self, values)

    return counted


def test_damaged_progress_is_begun_anew(tmp_path: Path) -> None:
    progress = Progress(cache=Cache(root=tmp_path), key="k", seconds=0.0)
    histogram = Histogram()
    histogram.add(np.linspace(-3, 5, 1000))
    progress.keep({"a": histogram}, 7)
    kept = progress.last()
    assert kept is not None and kept[1] == 7
    assert np.array_equal(kept[0]["a"].counts, histogram.counts)
    assert np.array_equal(kept[0]["a"].centres, histogram.centres)
    (tmp_path / "k" / "histograms.npz").write_bytes(b"PK\x03\x04 cut off")
    assert progress.last() is None
    assert progress.last() is None
