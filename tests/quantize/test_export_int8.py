"""INT8 through the one pipeline: what the manifest says, what comes out float, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from small_nets import SHAPE, Build, pictures, residual_net

from edgevision import native
from edgevision.cache import Cache
from edgevision.calibration.calibrators import Range
from edgevision.calibration.examine import examine
from edgevision.calibration.open_data import open_data
from edgevision.check_bundle import check_bundle
from edgevision.cli.show import show_manifest
from edgevision.errors import DataError, GraphError, UsageError
from edgevision.pipeline import Exported, ExportOptions, export_bundle
from edgevision.quantize import quantize as module
from edgevision.quantize.admit import admit
from edgevision.quantize.calibrate import CalibrationSet, calibrate
from edgevision.quantize.judge import Speed
from edgevision.quantize.recovery import Recovery
from edgevision.stages.quantize import QuantizeOptions


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("int8")
    ir.save(residual_net(), folder / "net.onnx")
    np.save(folder / "data.npy", np.stack([s.image for s in pictures(20)]))
    return folder


def speed(ratio: float) -> Speed:
    return Speed(ratio=ratio, interval=(ratio - 0.05, ratio + 0.05), first_ms=1, second_ms=1 / ratio, pairs=9)


def export(files: Path, monkeypatch: pytest.MonkeyPatch, ratio: float, **how: object) -> Exported:
    monkeypatch.setattr(module, "race", lambda *_, **__: speed(ratio))  # what a busy machine measures decides no test
    options = ExportOptions(
        model=str(files / "net.onnx"),
        target="ort",
        precision="int8",
        out=files / "bundle",
        quantize=replace(QuantizeOptions(data=str(files / "data.npy"), scheme="ort_x86_vnni"), **how),  # type: ignore[arg-type]
    )
    return export_bundle(options, cache=Cache(root=files / "cache"))


def test_bundle_is_int8_and_its_manifest_says_what_it_cost(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = export(files, monkeypatch, 1.5)
    manifest = done.manifest
    assert manifest.target["precision"] == "int8"
    assert manifest.calibration is not None
    source = open_data(str(files / "data.npy"), SHAPE, None)
    assert manifest.calibration["sha256"] == examine(source, None).sha256
    found = manifest.quantization
    assert found is not None
    assert (found["scheme"], found["gained"], found["mac_share"]) == ("ort_x86_vnni", True, 1.0)
    assert found["fidelity"]["snr_db"] > 25
    assert manifest.parity.reference.startswith("the Q/DQ graph")
    error = next(s for s in manifest.stages if s.name == "quantize").max_abs_over_std
    assert error is not None
    assert 1e-3 < error < 0.5
    written = ir.load(done.path / "model.onnx").graph
    assert all(value.uses() for value in written.initializers.values())
    kinds = {n.op_type for n in written}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    if native.why_not() is None:  # SiLU: written out in the portable graph, a table in what runs
        assert {"Sigmoid", "Mul"} <= kinds
        runs = {n.op_type for n in ir.load(done.path / manifest.artifact["path"]).graph}
        assert "EvLookup" in runs
        assert not runs & {"Sigmoid", "Mul"}
    assert check_bundle(done.path).parity.status == "verified"


def test_model_that_does_not_gain_comes_out_float_with_the_cause(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = export(files, monkeypatch, 1.02).manifest
    assert manifest.target["precision"] == "fp32"
    assert manifest.parity.tolerance == 1e-4
    assert any("INT8 does not gain: 1.02x" in w and "100%" in w for w in manifest.warnings)
    assert "QuantizeLinear" not in {n.op_type for n in ir.load(files / "bundle" / "model.onnx").graph}
    show_manifest(files / "bundle", manifest)
    assert "the bundle is float" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_python_that_yields_images_is_a_calibration_set(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = export(files, monkeypatch, 1.5, data=lambda: (s.image for s in pictures(20)))
    assert done.manifest.calibration is not None
    assert done.manifest.calibration["sha256"] == examine(pictures(20), None).sha256


def test_excluded_operators_stay_float(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = export(
        files,
        monkeypatch,
        1.5,
        exclude=("Gemm",),
        recovery=Recovery(bias_correction=True, equalize=True, adaround=True),
    ).manifest.quantization
    assert found is not None
    assert found["bias_correction"]
    assert found["fidelity"]["snr_db"] > 25
    assert found["declined"]["Gemm_13"] == "excluded"


def test_options_that_conflict(files: Path) -> None:
    plain = ExportOptions(model=str(files / "net.onnx"), target="ort", out=files / "no")
    with pytest.raises(UsageError, match="no Q/DQ pairs"):
        export_bundle(replace(plain, precision="int8"))
    with pytest.raises(UsageError, match="is not calibrated"):
        export_bundle(replace(plain, quantize=QuantizeOptions(data="digits")))
    assert not (files / "no").exists()


def test_graphs_that_cannot_be_quantized() -> None:
    net = Build()
    model = net.model(net.op("Relu", net.image))
    model.graph.inputs[0].shape = ir.Shape((1, 3, "height", 16))
    with pytest.raises(GraphError, match="dimension 2 has no size"):
        admit(model)
    net = Build()
    scale, zero = net.constant(np.float32(1)), net.constant(np.uint8(0))
    with pytest.raises(GraphError, match="already quantized"):
        admit(net.model(net.op("DequantizeLinear", net.op("QuantizeLinear", net.image, scale, zero), scale, zero)))
    half = residual_net()
    half.graph.inputs[0].dtype = ir.DataType.FLOAT16
    with pytest.raises(GraphError, match="it is FLOAT16"):
        admit(half)


def test_ranges_come_from_the_cache_and_follow_data_and_method(tmp_path: Path) -> None:
    model, cache, told = residual_net(), Cache(root=tmp_path), []

    def ranges(seed: int, method: str = "min-max") -> dict[str, Range]:
        source = pictures(16, seed)
        data = CalibrationSet(source=source, examined=examine(source, None), method=method, limit=None)  # type: ignore[arg-type]
        found = calibrate(model, ["image", "v1"], data, symmetric=False, cache=cache, report=told.append)
        return found[data.methods[0]]

    first = ranges(0)
    assert told
    told.clear()
    assert ranges(0) == first
    assert not told
    assert ranges(1) != first != ranges(0, "percentile")


def test_set_smaller_than_the_batch(tmp_path: Path) -> None:
    source = pictures(16)
    data = CalibrationSet(source=source, examined=examine(source, None), method="min-max", limit=None)
    with pytest.raises(DataError, match="batch of 32"):
        calibrate(residual_net(batch=32), ["v1"], data, symmetric=False, cache=Cache(root=None), report=lambda _: None)
