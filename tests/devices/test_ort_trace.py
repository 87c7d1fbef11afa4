"""A trace made by hand: two runs of a Relu and of a Scan with two Adds inside, after one run to warm up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from edgevision.devices.ort_trace import read_trace, trace


def event(name: str, op: str, start: int, duration: int) -> dict[str, Any]:
    return {
        "cat": "Node", "name": f"{name}_kernel_time", "ts": start, "dur": duration,
        "args": {"op_name": op, "provider": "CPUExecutionProvider"},
    }  # fmt: skip


def one_run(start: int, scale: int) -> list[dict[str, Any]]:
    return [
        event("relu", "Relu", start, 100 * scale),
        event("add", "Add", start + 150 * scale, 30 * scale),
        event("add", "Add", start + 190 * scale, 30 * scale),
        event("scan", "Scan", start + 120 * scale, 300 * scale),  # written when it ends
    ]


class FakeRunner:
    """Counts its calls and leaves the trace above."""

    def __init__(self, path: Path) -> None:
        self.path, self.calls, self.session = path, 0, self

    def __call__(self, _feed: Mapping[str, Any]) -> None:
        self.calls += 1

    def end_profiling(self) -> str:
        runs = [e for i in range(self.calls) for e in one_run(10_000 * i, scale=10 if i == 0 else 1)]
        self.path.write_text(json.dumps([{"cat": "Session", "name": "session", "ts": 0, "dur": 5}, *runs]))
        return str(self.path)

    def __enter__(self) -> FakeRunner:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        assert kind is None


class FakeTarget:
    def load(self, path: Path) -> FakeRunner:
        return FakeRunner(path)


def test_times_are_each_ops_own_and_the_first_run_does_not_count(tmp_path: Path) -> None:
    result = trace(FakeTarget(), tmp_path / "trace.json", {}, runs=2)  # type: ignore[arg-type]  # what `trace` uses of it
    rows = {row["op"]: row for row in result.per_op}
    assert [row["op"] for row in result.per_op] == ["Scan", "Relu", "Add"]
    assert (rows["Scan"]["ms"], rows["Relu"]["ms"], rows["Add"]["ms"]) == pytest.approx((0.24, 0.1, 0.06))
    assert {op: row["count"] for op, row in rows.items()} == {"Scan": 1, "Relu": 1, "Add": 2}
    assert all(row["n"] == 2 and row["interval"] == pytest.approx([row["ms"]] * 2) for row in rows.values())
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1.0)
    assert result.placement == {"CPUExecutionProvider": 3}, "nodes, not how often each ran"


def test_interval_of_an_ops_time_is_of_its_runs(tmp_path: Path) -> None:
    """Three runs of 0.1, 0.2 and 0.3 ms: the mean, and two standard errors of 0.1 / sqrt 3."""
    file = tmp_path / "trace.json"
    file.write_text(json.dumps([event("relu", "Relu", 1000 * i, 100 * max(i, 1)) for i in range(4)]))
    (row,) = read_trace(file, 3).per_op
    assert (row["ms"], row["n"]) == (0.2, 3)
    assert row["interval"] == pytest.approx([0.2 - 0.11547, 0.2 + 0.11547], abs=1e-4)
    (single,) = read_trace(file, 1).per_op
    assert single["interval"] is None
