"""Watching a profile: what is told, where, and that stdout stays for the document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_bundle import small_bundle
from typer.testing import CliRunner

from edgevision.cli import watch
from edgevision.cli.main import app


def test_running_median_goes_to_stderr_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "EVERY", 0.0)
    bundle = small_bundle(tmp_path / "small")
    done = CliRunner().invoke(app, ["profile", str(bundle), "--runs", "12", "--watch", "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    lines = [line for line in done.stderr.splitlines() if line.startswith("n = ")]
    assert [line.split(",")[0] for line in lines] == [f"n = {n}" for n in range(1, 13)]
    assert f"median {document['latency_ms']['p50']:.2f} ms" in lines[-1]
    assert document["bundle"]["precision"] == "fp32"
