"""Every command: what it prints for people, the one JSON document for machines, its exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image
from workspace import Command, Ended, leftovers

from edgevision.bundle import open_bundle


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(path)
    return path


def succeeded(ended: Ended) -> dict[str, Any]:
    assert ended.code == 0, ended.err
    return ended.document


def test_export(edgevision: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = edgevision("export", "--model", "tiny:classifier", "--target", "onnx", "--out", out, "--json")
    document = succeeded(ended)
    assert document["bundle"] == str(out)
    assert document["manifest"] == json.loads((out / "manifest.json").read_text())
    assert [s["name"] for s in document["manifest"]["stages"]] == [
        "load", "capture", "reparam", "passes", "compile", "verify",
    ]  # fmt: skip
    assert document["manifest"]["parity"]["status"] == "verified"
    assert "capture" in ended.err, "progress goes to stderr"
    assert leftovers(out) == ["README.md", "manifest.json", "model.onnx", "sample.npz"]
    assert leftovers(tmp_path) == ["out"]


def test_export_names_its_folder_itself(edgevision: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = edgevision("export", "--model", "tiny:classifier", "--target", "onnx")
    assert ended.code == 0
    assert leftovers(tmp_path) == ["classifier-onnx-fp32"]
    assert "bundle: classifier-onnx-fp32" in ended.out
    assert "verified" in ended.out


def test_verify(edgevision: Command, scanner_bundle: Path) -> None:
    document = succeeded(edgevision("verify", scanner_bundle, "--json"))
    assert document["parity"]["status"] == "verified"
    assert document["parity"]["samples"] == 5
    assert 0 < document["parity"]["max_abs_over_std"] < 1e-4
    assert "verified" in edgevision("verify", scanner_bundle).out


def test_verify_says_no(edgevision: Command, tiny_bundle: Path, tmp_path: Path) -> None:
    """A bundle whose artifact computes something else, and whose manifest has been made to agree with its files."""
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    from edgevision.hashing import file_sha256

    model = onnx.load(bundle / "model.onnx")
    bias = next(i for i in model.graph.initializer if i.dims == [10])
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(0.01), bias.name))
    onnx.save(model, bundle / "model.onnx")
    digest = file_sha256(bundle / "model.onnx")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["graph"]["sha256"] = manifest["artifact"]["sha256"] = manifest["files"]["model.onnx"] = digest
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    ended = edgevision("verify", bundle, "--json")
    assert ended.code == 1
    assert ended.error["kind"] == "gate"
    assert "of the output's std" in ended.error["reason"]


def test_inspect(edgevision: Command, scanner_bundle: Path) -> None:
    document = succeeded(edgevision("inspect", scanner_bundle, "--json"))
    assert document == json.loads((scanner_bundle / "manifest.json").read_text())
    shown = edgevision("inspect", scanner_bundle).out
    for part in ("scanner", "EvSelectiveScan", "capture", "verified", "the factory's own"):
        assert part in shown


def test_run(edgevision: Command, tiny_bundle: Path, image: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"thing {i}" for i in range(10)))
    out = tmp_path / "deep" / "outputs.npz"
    document = succeeded(edgevision("run", tiny_bundle, image, "--labels", labels, "--out", out, "--json"))
    top = document["top"]
    assert len(top) == 5 and document["outputs"] == [[1, 10]]
    assert top[0]["label"] == f"thing {top[0]['index']}"
    logits = np.load(out)["output.0"][0]
    assert int(logits.argmax()) == top[0]["index"]
    assert top[0]["probability"] == pytest.approx(np.exp(logits).max() / np.exp(logits).sum(), rel=1e-4)
    assert "thing" in edgevision("run", tiny_bundle, image, "--labels", labels).out


def test_run_preprocesses_as_the_manifest_says(
    edgevision: Command, tiny_bundle: Path, image: Path, tmp_path: Path
) -> None:
    """The picture gives what its own array, preprocessed by hand, gives."""
    from edgevision.images import preprocess, read_image

    array = tmp_path / "a.npy"
    np.save(array, preprocess(read_image(image), (32, 32), open_bundle(tiny_bundle).model.preprocess or {}))
    one, two = (succeeded(edgevision("run", tiny_bundle, x, "--json"))["top"] for x in (image, array))
    assert one == two


def test_compile_takes_a_graph_as_it_is(edgevision: Command, tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    document = succeeded(edgevision("compile", tiny_bundle / "model.onnx", "--target", "ort", "--out", out, "--json"))
    manifest = document["manifest"]
    assert manifest["parity"]["status"] == "verified"
    assert [s["name"] for s in manifest["stages"]] == ["read", "compile", "verify"]
    assert manifest["graph"]["nodes"] == open_bundle(tiny_bundle).graph.nodes


@pytest.mark.parametrize(
    ("option", "said"),
    [(("--batch", "3"), "fixed batch of 1"), (("--input-size", "64"), "fixed at 32"), (("--batch", "1:2:4"), "fixed")],
)
def test_a_fixed_graph_keeps_its_sizes(
    edgevision: Command, tiny_bundle: Path, option: tuple[str, str], said: str
) -> None:
    ended = edgevision("compile", tiny_bundle / "model.onnx", "--target", "ort", *option, "--json")
    assert ended.code == 2
    assert said in ended.error["reason"] and ended.error["thing"].startswith(option[0])


def test_compile_wants_a_graph(edgevision: Command, image: Path, tmp_path: Path) -> None:
    assert edgevision("compile", image, "--target", "ort", "--json").code == 2
    fake = tmp_path / "fake.onnx"
    shutil.copy(image, fake)
    ended = edgevision("compile", fake, "--target", "ort", "--out", tmp_path / "out", "--json")
    assert ended.code == 4
    assert "not a valid ONNX model" in ended.error["reason"]
    assert leftovers(tmp_path) == ["fake.onnx"]


def test_reparam(edgevision: Command, tmp_path: Path) -> None:
    out = tmp_path / "deploy.onnx"
    document = succeeded(edgevision("reparam", "tiny:classifier", "--out", out, "--json"))
    assert document["applied"] and document["out"] == str(out)
    onnx.checker.check_model(str(out))
    assert not [n for n in onnx.load(out).graph.node if n.op_type == "BatchNormalization"]
    before, after = document["before"], document["after"]
    assert before["nodes"] > after["nodes"] and before["params"] > after["params"] and before["macs"] == after["macs"]
    shown = edgevision("reparam", "tiny:classifier", "--explain")
    assert shown.code == 0
    assert all(part in shown.out for part in ("merged", "params", "whole graph", f"→ {after['nodes']} nodes"))


def test_reparam_lists_the_channels_that_int8_would_hurt(edgevision: Command, tmp_path: Path) -> None:
    """One channel of the first convolution with a single large weight among small ones."""
    path = tmp_path / "risky.onnx"
    succeeded(edgevision("reparam", "tiny:classifier", "--out", path, "--json"))
    model = onnx.load(path)
    conv = next(n for n in model.graph.node if n.op_type == "Conv")
    kernel = next(i for i in model.graph.initializer if i.name == conv.input[1])
    values = onnx.numpy_helper.to_array(kernel).copy()
    values[3] = 1e-4
    values[3, 0, 0, 0] = 1.0
    kernel.CopyFrom(onnx.numpy_helper.from_array(values, kernel.name))
    onnx.save(model, path)
    (risk,) = succeeded(edgevision("reparam", path, "--json"))["int8_risk"]
    assert risk["weight"] == kernel.name and risk["channels"] == [3]
    assert "1 of 8" in edgevision("reparam", path, "--explain").out


@pytest.mark.parametrize("out", ["deploy.txt", "deploy.pth"])
def test_reparam_refuses(edgevision: Command, tmp_path: Path, out: str) -> None:
    ended = edgevision("reparam", "tiny:classifier", "--out", tmp_path / out, "--json")
    assert ended.code == 2
    assert leftovers(tmp_path) == []


def test_lists(edgevision: Command) -> None:
    names = {m["name"] for m in succeeded(edgevision("models", "--json"))["models"]}
    assert {f"mobilemamba_{v}" for v in ("t2", "t4", "s6", "b1", "b2", "b4")} <= names
    operators = {o["name"] for o in succeeded(edgevision("ops", "--json"))["operators"]}
    assert operators >= {"EvSelectiveScan", "EvDWT", "EvIDWT"}
    targets = {t["name"]: t for t in succeeded(edgevision("targets", "--json"))["targets"]}
    assert targets["ort"]["state"] == targets["onnx"]["state"] == "ready"
    for command, part in (("models", "mobilemamba_b4"), ("ops", "EvIDWT"), ("targets", "onnx")):
        assert part in edgevision(command).out


def test_doctor_finds_and_says_how_to_mend(edgevision: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = {f["what"]: f for f in succeeded(edgevision("doctor", "--json"))["findings"]}
    assert findings["torch"]["good"] and findings["target ort"]["good"]
    monkeypatch.setenv("EDGEVISION_OPS_LIBRARY", "/nowhere/libedgevision_ops.so")
    findings = {f["what"]: f for f in succeeded(edgevision("doctor", "--json"))["findings"]}
    kernels = findings["CPU kernels"]
    assert not kernels["good"]
    assert "/nowhere" in kernels["state"] and "bodies" in kernels["state"] and kernels["mend"]
