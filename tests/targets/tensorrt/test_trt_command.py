"""`edgevision compile FILE --target trt` and what can be done with its bundle, as people type it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from detector import export_detector
from nets import conv_net, needs_rtx, scan_net
from workspace import Command

from edgevision import export
from edgevision.targets.tensorrt import driver

pytestmark = needs_rtx
no_gpu = pytest.mark.skipif(driver.why_no_gpu() is None, reason="this machine has a GPU")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of `scan_net` with plugins. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("compiled")
    ir.save(scan_net(), folder / "scan.onnx")
    options = {"compute_capability": "8.6"}
    return export(str(folder / "scan.onnx"), target="trt", out=folder / "bundle", target_options=options)


def test_inspect_shows_what_the_build_knows_of_the_engine(edgevision: Command, compiled: Path) -> None:
    shown = edgevision("inspect", compiled).out
    for words in ("rtx 1.", "8.6", "x: float 2 x 4 x 7 x 7", "4 (2 EvSelectiveScan", "4 custom_layer", "weights"):
        assert words in shown, words
    record = edgevision("inspect", compiled, "--json").document["record"]
    assert record == json.loads((compiled / "engine.json").read_text())
    custom = [layer for layer in record["layers"] if layer["kind"] == "custom_layer"]
    assert {node.split("_")[0] for layer in custom for node in layer["nodes"]} == {"EvSelectiveScan", "EvDWT", "EvIDWT"}


def test_a_damaged_record_is_told(edgevision: Command, compiled: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(compiled, tmp_path / "bundle")
    (bundle / "engine.json").write_text("{")
    ended = edgevision("inspect", bundle, "--json")
    assert ended.code == 7
    assert "record cannot be read" in ended.error["reason"]


@no_gpu
def test_without_a_gpu_nothing_is_called_verified(edgevision: Command, compiled: Path, tmp_path: Path) -> None:
    manifest = json.loads((compiled / "manifest.json").read_text())
    assert manifest["parity"]["status"] == "built, not run"
    proofs = [proof["what"] for proof in manifest["proofs"]]
    assert sum("under the interpreter" in what for what in proofs) == 4
    assert "model.trt.onnx in ONNX Runtime" in proofs
    checked = edgevision("verify", compiled, "--json")
    assert (checked.code, checked.document["parity"]["status"]) == (0, "built, not run")
    np.save(tmp_path / "x.npy", np.zeros((4, 7, 7), np.float32))
    for command in (("profile", compiled), ("run", compiled, tmp_path / "x.npy")):
        ended = edgevision(*command, "--json")
        assert ended.code == 5
        assert "no NVIDIA driver" in ended.error["reason"]


def test_a_changed_engine_is_noticed(edgevision: Command, compiled: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(compiled, tmp_path / "bundle")
    with (bundle / "model.engine").open("r+b") as engine:
        engine.seek(100)
        engine.write(b"\xff\x00\xff")
    assert edgevision("verify", bundle, "--json").code == 7


def test_a_detector_that_was_exported_elsewhere(edgevision: Command, tmp_path: Path) -> None:
    """Four outputs, open sizes, TopK and Gather; in fp16 each output has the tolerance its own rounding asks for."""
    export_detector(tmp_path / "detector.onnx")
    command = ("compile", tmp_path / "detector.onnx", "--target", "trt", "--precision", "fp16")
    ended = edgevision(*command, "--input-size", "64x96", "--out", tmp_path / "bundle", "--json")
    assert ended.code == 0, ended.err
    record = edgevision("inspect", tmp_path / "bundle", "--json").document["record"]
    assert [tensor["name"] for tensor in record["outputs"]] == ["scores", "boxes", "confidence", "map"]
    assert record["outputs"][0]["shape"] == [1, 3 * (16 * 24 + 8 * 12 + 4 * 6), 5]
    tolerances = ended.document["manifest"]["parity"]["tolerances"]
    assert len(tolerances) == 4
    assert max(tolerances[0], tolerances[3]) < 4e-2


def test_a_range_of_batches_is_a_profile_on_the_command_line(edgevision: Command, tmp_path: Path) -> None:
    ir.save(conv_net(batch="batch"), tmp_path / "net.onnx")
    command = ("compile", tmp_path / "net.onnx", "--target", "trt", "--batch", "1:2:5", "--out", tmp_path / "bundle")
    assert edgevision(*command, "--compute-capability", "8.9").code == 0
    assert "x 1x3x8x8 to 2x3x8x8 to 5x3x8x8" in edgevision("inspect", tmp_path / "bundle").out


def test_open_sizes_written_as_minus_one(edgevision: Command, tmp_path: Path) -> None:
    """As Paddle's exporter writes them."""
    proto = ir.to_proto(conv_net())
    for dim, size in zip(proto.graph.input[0].type.tensor_type.shape.dim, (-1, 3, -1, -1), strict=True):
        dim.dim_value = size
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    command = ("compile", tmp_path / "net.onnx", "--target", "trt", "--out", tmp_path / "bundle", "--json")
    assert edgevision(*command).code == 2, "their size is asked for"
    assert edgevision(*command, "--input-size", "8x8").document["manifest"]["model"]["input_shape"] == [1, 3, 8, 8]
