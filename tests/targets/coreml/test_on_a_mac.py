"""What runs on a Mac only, with stand-ins for Apple's parts: the evaluator for Core ML, fixed times for its tools.

They show what is asked of those parts, and what is made of their answers; not that Core ML computes the same.
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from workspace import Command

import edgevision as ev
from edgevision.targets.coreml import target as target_module
from edgevision.targets.coreml import this_machine
from edgevision.targets.coreml.emulated import EmulatedRunner
from edgevision.targets.coreml.evaluator import Evaluator

LABELS = tuple(f"kind {index}" for index in range(10))
MILLISECONDS = {"ALL": 1.0, "CPU_AND_NE": 1.1, "CPU_AND_GPU": 2.0, "CPU_ONLY": 4.0}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Made on Linux, and then carried to the Mac."""
    folder = tmp_path_factory.mktemp("carried")
    options: dict[str, Any] = {"image_input": True, "labels": LABELS}
    plain = ev.export("tiny:classifier", target="coreml", precision="fp32", out=folder / "plain")
    image = ev.export(
        "tiny:classifier", target="coreml", precision="fp32", out=folder / "image", target_options=options
    )
    return {"plain": plain, "image": image}


class StandIn:
    """`MLModel`, computed by the evaluator; takes pictures as Core ML does."""

    asked: ClassVar[list[str]] = []

    def __init__(self, path: str, compute_units: Any = None, **options: Any) -> None:
        self.path, self.unit = path, getattr(compute_units, "name", "ALL")
        self.evaluator = Evaluator(Path(path))

    def predict(self, features: dict[str, Any]) -> dict[str, Any]:
        arrays = {
            name: np.asarray(value, np.float32).transpose(2, 0, 1)[None] if hasattr(value, "mode") else value
            for name, value in features.items()
        }
        return self.evaluator(arrays)

    def get_compiled_model_path(self) -> str:
        return self.path


class Benchmark:
    """`MLModelBenchmarker` with known times."""

    def __init__(self, model: StandIn, device: Any = None) -> None:
        self.model, self.device = model, device

    async def benchmark_load(self, iterations: int) -> Any:
        return types.SimpleNamespace(samples=[20.0] * iterations)

    async def benchmark_predict(self, inputs: dict[str, Any], iterations: int, warmup: bool) -> Any:
        assert warmup
        self.model.predict(inputs)  # the features must be the package's
        StandIn.asked.append(f"{self.model.unit} {'here' if self.device is None else self.device.name}")
        return types.SimpleNamespace(samples=[MILLISECONDS[self.model.unit]] * iterations)


class Plan:
    """`MLComputePlan`: everything on the Neural Engine but the first operation."""

    def __init__(self, path: str) -> None:
        operations = [
            types.SimpleNamespace(operator_name=operation.kind)
            for operation in Evaluator(Path(path)).program.main.operations
        ]
        self.first = operations[0]
        block = types.SimpleNamespace(operations=operations)
        program = types.SimpleNamespace(functions={"main": types.SimpleNamespace(block=block)})
        self.model_structure = types.SimpleNamespace(program=program)

    @classmethod
    def load_from_path(cls, path: str) -> Plan:
        return cls(path)

    def get_compute_device_usage_for_mlprogram_operation(self, operation: Any) -> Any:
        name = "MLCPUComputeDevice" if operation is self.first else "MLNeuralEngineComputeDevice"
        return types.SimpleNamespace(preferred_compute_device=type(name, (), {})())


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> None:
    import coremltools as ct
    from coremltools.models import compute_plan
    from coremltools.models.ml_program.experimental import perf_utils

    for module in (this_machine, target_module):
        monkeypatch.setattr(module, "has_core_ml", lambda: True)
    monkeypatch.setattr(ct.models, "MLModel", StandIn)
    monkeypatch.setattr(perf_utils, "MLModelBenchmarker", Benchmark)
    monkeypatch.setattr(compute_plan, "MLComputePlan", Plan)
    StandIn.asked.clear()


@pytest.fixture
def phone(mac: None, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The connected iPhones."""
    from coremltools.models.ml_program.experimental import remote_device

    class Phone:
        name, os_version = "iPhone 15 Pro", "18.1"

        async def prepare_for_model_debugging(self) -> Phone:
            return self

    connected: list[Any] = [Phone()]
    monkeypatch.setattr(remote_device.Device, "get_connected_devices", staticmethod(lambda kind: connected))
    return connected


@pytest.mark.parametrize("kind", ["plain", "image"])
def test_a_bundle_from_linux_is_verified_on_a_mac(
    kind: str, bundles: dict[str, Path], mac: None, edgevision: Command
) -> None:
    parity = edgevision("verify", bundles[kind], "--json").document["parity"]
    assert parity["status"] == "verified" and parity["samples"] == 5
    assert 0 < parity["max_abs_over_std"] < 1e-4


def test_a_wrong_core_ml_is_not_verified(
    bundles: dict[str, Path], mac: None, edgevision: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = StandIn.predict
    monkeypatch.setattr(StandIn, "predict", lambda self, given: {k: v + 0.5 for k, v in right(self, given).items()})
    assert edgevision("verify", bundles["plain"]).code == 1


def test_loaded_from_python_a_classifier_gives_its_scores(bundles: dict[str, Path], mac: None) -> None:
    with np.load(bundles["image"] / "sample.npz") as sample:
        (scores,) = ev.load(bundles["image"])(sample["input.image"])
        np.testing.assert_allclose(scores, sample["output.0"], rtol=1e-3, atol=1e-3)


def test_profile_per_compute_unit_with_placement(bundles: dict[str, Path], mac: None, edgevision: Command) -> None:
    document = edgevision("profile", bundles["image"], "--runs", 10, "--json").document
    assert {unit["name"]: unit["latency_ms"]["p50"] for unit in document["compute_units"]} == MILLISECONDS
    assert document["placement"]["MLCPUComputeDevice"] == 1
    assert document["placement"]["MLNeuralEngineComputeDevice"] > 1
    assert document["parity"]["max_abs_over_std"] < 1e-4
    assert StandIn.asked == [f"{unit} here" for unit in MILLISECONDS]


def test_profile_on_a_tethered_iphone(bundles: dict[str, Path], phone: list[Any], edgevision: Command) -> None:
    document = edgevision("profile", bundles["plain"], "--device", "iphone", "--runs", 12, "--json").document
    assert document["device"] == {"name": "iphone", "kind": "iphone", "cpu": "iPhone 15 Pro", "emulated": False}
    assert document["latency_ms"]["p50"] == MILLISECONDS["ALL"] and document["parity"] is None
    assert StandIn.asked == [f"{unit} iPhone 15 Pro" for unit in MILLISECONDS]
    shown = edgevision("profile", bundles["plain"], "--device", "iphone", "--runs", 12).out
    assert "on CPU_ONLY" in shown and "not taken" in shown


def test_no_phone_or_two(bundles: dict[str, Path], phone: list[Any], edgevision: Command) -> None:
    phone *= 2
    ended = edgevision("profile", bundles["plain"], "--device", "iphone")
    assert ended.code == 6 and "2 are connected" in ended.err


def test_an_iphone_away_from_a_mac(bundles: dict[str, Path], edgevision: Command, tiny_bundle: Path) -> None:
    away = edgevision("profile", bundles["plain"], "--device", "iphone")
    assert away.code == 6 and "Mac" in away.err
    other = edgevision("profile", tiny_bundle, "--device", "iphone")
    assert other.code == 7 and "coreml" in other.err


def test_pixels_survive_the_way_there_and_back(bundles: dict[str, Path]) -> None:
    with (
        EmulatedRunner(bundles["image"] / "model.mlpackage") as runner,
        np.load(bundles["image"] / "sample.npz") as sample,
    ):
        (scores,) = runner(sample["input.image"])
        np.testing.assert_allclose(scores, sample["output.0"], rtol=1e-3, atol=1e-3)
