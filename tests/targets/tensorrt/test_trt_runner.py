"""Opening an engine where it cannot be opened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgevision.errors import TargetError
from edgevision.targets.tensorrt import TensorRT, driver
from edgevision.targets.tensorrt import flavor as flavors
from edgevision.targets.tensorrt.runner import check_engine


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(flavors.Flavor, "version", lambda self: "1.7.1.116")
    path = tmp_path / "model.engine"
    path.write_bytes(b"vtrt" * 10)
    record = {"flavor": "rtx", "version": "1.7.1.116", "engine": {"bytes": 40}, "inputs": [], "outputs": []}
    (tmp_path / "engine.json").write_text(json.dumps(record))
    return path


def test_another_versions_engine_is_refused(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_engine(engine)
    monkeypatch.setattr(flavors.Flavor, "version", lambda self: "1.8.0.3")
    with pytest.raises(TargetError, match=r"1\.7\.1\.116 built it and 1\.8\.0\.3 is installed"):
        TensorRT().load(engine)


def test_an_engine_without_its_tensorrt_is_refused(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flavors.Flavor, "version", lambda self: None)
    with pytest.raises(TargetError, match=r"needs TensorRT for RTX 1\.7\.1\.116, which is not installed"):
        TensorRT().load(engine)


def test_a_cut_engine_is_refused(engine: Path) -> None:
    engine.write_bytes(b"vtrt")
    with pytest.raises(TargetError, match="it has 4 bytes, its record says 40"):
        TensorRT().load(engine)


@pytest.mark.parametrize("text", ["", "{}", '{"flavor": "strange"}'], ids=["empty", "nothing", "strange flavor"])
def test_an_engine_without_a_record_is_refused(text: str, engine: Path) -> None:
    engine.with_name("engine.json").write_text(text)
    with pytest.raises(TargetError, match="record cannot be read"):
        TensorRT().load(engine)


def test_a_missing_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="there is no engine"):
        TensorRT().load(tmp_path / "model.engine")


def test_without_a_gpu_it_says_so(engine: Path) -> None:
    if driver.why_no_gpu() is None:
        pytest.skip("this machine has a GPU")
    with pytest.raises(TargetError, match="it was built and cannot run here"):
        TensorRT().load(engine)
