"""The workflow that `docs/int8.yml` hands out does what it says: its own commands, on a small model and a folder of pictures."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from workspace import ROOT, Command

from edgevision.bundle import open_bundle
from edgevision.quantize.judge import Speed

WORKFLOW = ROOT / "docs" / "int8.yml"


def commands() -> list[str]:
    return re.findall(r"^ +(?:run: )?(edgevision .+)$", WORKFLOW.read_text(), re.MULTILINE)


def pictures(folder: Path, count: int) -> Path:
    """Smooth pictures in ten class folders."""
    rng = np.random.default_rng(0)
    for index in range(count):
        picture = Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)).resize((40, 40))
        (folder / str(index % 10)).mkdir(parents=True, exist_ok=True)
        picture.save(folder / str(index % 10) / f"{index}.png")
    return folder


def test_its_commands_in_order(edgevision: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = Speed(ratio=2, interval=(1.9, 2.1), first_ms=2, second_ms=1, pairs=9)
    for module in ("quantize", "regress"):
        monkeypatch.setattr(f"edgevision.quantize.{module}.race", lambda *_, **__: fast)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build").mkdir()
    known = {
        "$MODEL": "tiny:classifier",
        "$CALIBRATION": str(pictures(tmp_path / "calibration", 20)),
        "$VALIDATION": str(pictures(tmp_path / "validation", 100)),
        "$GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }
    float_bundle, int8, regress, compare = (
        [known.get(word, word) for word in shlex.split(line)][1:] for line in commands()
    )
    assert (regress[0], compare[0]) == ("regress", "compare")
    for command in (float_bundle, int8, [*regress, "--update"]):
        assert edgevision(*command).code == 0
    assert open_bundle(Path("build/float")).quantization is None
    found = open_bundle(Path("build/int8")).quantization
    assert found is not None
    assert found["scheme"] == "ort_x86_avx2", "a baseline is of one scheme, whatever the machine"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    ended = edgevision(*regress)
    assert ended.code == 0
    assert (
        ended.out.count("::notice") + ended.out.count("::warning") == 3
    )  # two against the baseline, INT8 against float
    assert ElementTree.parse("build/int8.xml").getroot().get("tests") == "3"  # noqa: S314 - our own text
    assert "edgevision regress:" in (tmp_path / "summary.md").read_text()
    told = edgevision(*compare).out
    assert "of norm" in told or "of head" in told
