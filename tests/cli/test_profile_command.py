"""`edgevision profile` on this machine: every key of its document, where each op ran, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from workspace import Command

PROFILE_KEYS = {
    "schema_version", "device", "environment", "threads", "runs", "latency_ms", "end_to_end_ms", "verdict", "reasons",
    "cold_start_ms", "peak_memory_mib", "per_op", "placement", "energy_mj", "parity",
}  # fmt: skip


def test_profile(edgevision: Command, scanner_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "profile.json"
    ended = edgevision("profile", scanner_bundle, "--runs", "12", "--per-op", "--out", out, "--json")
    assert ended.code == 0, ended.err
    document = ended.document
    assert set(document) >= PROFILE_KEYS
    assert json.loads(out.read_text()) == document
    latency = document["latency_ms"]
    assert set(latency) == {"p50", "p90", "p99", "mean", "cv", "interval", "samples"}
    assert len(latency["samples"]) == document["runs"] == 12
    assert latency["interval"][0] <= latency["p50"] <= latency["interval"][1]
    assert document["device"]["kind"] == "local" and document["device"]["emulated"] is False
    assert document["verdict"] in ("stable", "unstable")
    assert bool(document["reasons"]) == (document["verdict"] == "unstable")
    assert set(document["environment"]) == {"before", "after"}
    assert document["parity"]["max_abs_over_std"] < 1e-4
    assert document["cold_start_ms"] > latency["p50"] > 0
    assert "12 runs" in ended.err


def test_profile_places_and_times_every_op(edgevision: Command, scanner_bundle: Path) -> None:
    from edgevision import native

    ended = edgevision("profile", scanner_bundle, "--runs", "10", "--per-op", "--json")
    assert ended.code == 0, ended.err
    document = ended.document
    per_op = {row["op"]: row for row in document["per_op"]}
    assert sum(document["placement"].values()) == sum(row["count"] for row in per_op.values())
    assert set(document["placement"]) == {"CPUExecutionProvider"}
    assert sum(row["share"] for row in per_op.values()) == pytest.approx(1.0, abs=0.01)
    if native.why_not() is None:
        assert {op: per_op[op]["count"] for op in ("EvSelectiveScan", "EvDWT", "EvIDWT")} == {
            "EvSelectiveScan": 1, "EvDWT": 1, "EvIDWT": 1,
        }  # fmt: skip


def test_profile_shows(edgevision: Command, tiny_bundle: Path) -> None:
    shown = edgevision("profile", tiny_bundle, "--runs", "10")
    assert shown.code == 0
    for part in ("p50", "p90 / p99", "cold start", "verdict", "end to end"):
        assert part in shown.out


@pytest.mark.parametrize("arguments", [("--device", "moon"), ("--runs", "3"), ("--threads", "-1")])
def test_profile_refuses(edgevision: Command, tiny_bundle: Path, arguments: tuple[str, str]) -> None:
    ended = edgevision("profile", tiny_bundle, *arguments, "--json")
    assert ended.code == 2
    assert ended.error["kind"] == "usage"
