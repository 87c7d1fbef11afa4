"""The machine's pace against what it has shown before: with a clock of the test's own, and in a profile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_bundle import small_bundle

from edgevision.cache import default_cache
from edgevision.devices import pace as pace_module
from edgevision.devices.local import ProfileOptions, profile_local
from edgevision.devices.pace import REMEMBERED, Pace


class Clock:
    """Each hash takes what the test says; the time between the looks is long."""

    def __init__(self, ns: int) -> None:
        self.ns, self.now = ns, 0

    def perf_counter(self) -> float:
        self.now += 1_000_000_000
        return self.now / 1e9

    def perf_counter_ns(self) -> int:
        self.now += self.ns
        return self.now


def measured(root: Path | None, monkeypatch: pytest.MonkeyPatch, ns: int) -> tuple[dict[str, object], tuple[str, ...]]:
    monkeypatch.setattr(pace_module, "time", Clock(ns))
    pace = Pace(root)
    for _ in range(9):
        pace.look()
    told = pace.told()
    return told, Pace.reasons(told)


def test_slow_from_end_to_end_is_told_once_the_machine_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measured(tmp_path, monkeypatch, 30_000) == ({"ns": 30_000, "n": 9, "fastest_ns": None}, ())
    assert measured(tmp_path, monkeypatch, 32_000)[1] == ()
    told, reasons = measured(tmp_path, monkeypatch, 48_000)
    assert told["fastest_ns"] == 30_000
    assert reasons == ("the machine worked at 62% of the pace it has shown before",)
    for _ in range(REMEMBERED):  # as when its clock was set lower for good
        last = measured(tmp_path, monkeypatch, 48_000)
    assert last[1] == ()


def test_what_is_remembered_may_be_missing_damaged_or_of_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measured(None, monkeypatch, 30_000)[0]["fastest_ns"] is None
    file = tmp_path / "pace" / "medians.json"
    file.parent.mkdir()
    for text in ("{", "[]", json.dumps({Pace(None)._key(): "x"}), json.dumps({"another machine": [1]})):
        file.write_text(text)
        assert measured(tmp_path, monkeypatch, 30_000)[0]["fastest_ns"] is None
    assert json.loads(file.read_text())["another machine"] == [1]
    file.unlink()
    file.mkdir()  # cannot be written
    assert measured(tmp_path, monkeypatch, 30_000)[1] == ()


def test_a_profile_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))
    bundle = small_bundle(tmp_path / "small")
    first = profile_local(bundle, ProfileOptions(runs=10, seconds=0.3))["pace"]
    assert (first["n"] >= 3, first["fastest_ns"]) == (True, None)
    root = default_cache().root
    assert root is not None
    file = root / "pace" / "medians.json"
    ((key, medians),) = json.loads(file.read_text()).items()
    assert medians == [first["ns"]]
    file.write_text(json.dumps({key: [first["ns"] // 10]}))  # as if it had been ten times as fast before
    document = profile_local(bundle, ProfileOptions(runs=10, seconds=0.1))
    assert document["verdict"] == "unstable"
    assert any("of the pace it has shown before" in reason for reason in document["reasons"])
