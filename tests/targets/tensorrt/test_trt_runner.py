"""Opening an engine where it cannot be opened, and what a runner does around it, on a GPU of host memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_gpu import Cuda, Execution, tensorrt

from edgevision.errors import DataError, TargetError
from edgevision.targets.tensorrt import TensorRT, driver, plugin_v3
from edgevision.targets.tensorrt import flavor as flavors
from edgevision.targets.tensorrt import runner as runners
from edgevision.targets.tensorrt.runner import EngineRunner, check_engine


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


def test_a_gpu_the_flavor_does_not_know_is_told_before_the_engine_is_opened(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "why_no_gpu", lambda: None)
    monkeypatch.setattr(driver, "gpu_capability", lambda: "9.0")
    with pytest.raises(TargetError, match=r"does not run on this GPU \(compute capability 9\.0\)") as raised:
        TensorRT().load(engine)
    assert "--flavor enterprise" in raised.value.mend
    assert flavors.flavor_needs(flavors.FLAVORS["enterprise"]) is None


@pytest.fixture
def opened(engine: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[EngineRunner, Cuda, Execution]]:
    record = json.loads(engine.with_name("engine.json").read_text())
    record |= {
        key: [{"name": name, "dtype": "float", "shape": [None, 3]}] for key, name in (("inputs", "x"), ("outputs", "y"))
    }
    engine.with_name("engine.json").write_text(json.dumps(record))
    cuda = Cuda()
    execution = Execution(cuda)
    monkeypatch.setattr(driver, "cuda", lambda: cuda)
    monkeypatch.setattr(runners, "flavor_needs", lambda flavor: None)
    monkeypatch.setattr(runners, "import_flavor", lambda flavor: tensorrt(execution))
    monkeypatch.setattr(plugin_v3, "register", lambda trt, images: [])
    with TensorRT().load(engine) as runner:
        yield runner, cuda, execution
    assert cuda.memory == {} and cuda.open_graphs == 0, "everything is freed"


def _right(runner: EngineRunner, batch: int) -> None:
    x = np.random.default_rng(batch).standard_normal((batch, 3)).astype(np.float32)
    np.testing.assert_array_equal(runner(x)[0], 2 * x)


def test_later_runs_are_replayed_from_a_graph(opened: tuple[EngineRunner, Cuda, Execution]) -> None:
    runner, cuda, execution = opened
    replayed = []
    for batch in (2, 2, 2, 1, 1, 4, 4):
        _right(runner, batch)
        assert runner.stages is not None
        replayed.append(runner.stages.cuda_graph)
    assert replayed == [False, True, True, False, True, False, True]
    assert cuda.graphs_launched == 4
    assert execution.enqueued == 2 * 3, "once to run and once to capture, for each shape"
    assert (runner.stages.copy_in, runner.stages.compute, runner.stages.copy_out) == (0.25, 0.25, 0.25)


def test_an_engine_that_cannot_be_captured_runs_without(opened: tuple[EngineRunner, Cuda, Execution]) -> None:
    runner, cuda, execution = opened
    cuda.capturable = False
    for _ in range(3):
        _right(runner, 2)
    assert cuda.graphs_launched == 0
    assert execution.enqueued == 4, "it is tried once"


def test_a_batch_outside_the_profile_is_refused(opened: tuple[EngineRunner, Cuda, Execution]) -> None:
    with pytest.raises(DataError, match=r"shape \(5, 3\) is outside the engine's profile"):
        opened[0](np.zeros((5, 3), np.float32))
