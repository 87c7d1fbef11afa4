"""Core ML from the command line: every option of a build, the commands that take a bundle, and what each refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from workspace import Command, Ended, leftovers

import edgevision as ev
from edgevision.hashing import file_sha256
from edgevision.targets.coreml.emulated import EmulatedRunner
from edgevision.targets.coreml.evaluator.program import Program, open_package

CLASSES = [f"kind {index}" for index in range(10)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ev.export("tiny:classifier", target="coreml", out=tmp_path_factory.mktemp("coreml") / "fp16")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels, and normalized pictures of blobs to calibrate on."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "labels.txt").write_text("\n".join(CLASSES))
    generator = np.random.default_rng(0)
    coarse = generator.standard_normal((24, 3, 4, 4)).astype(np.float32)
    np.save(folder / "pictures.npy", coarse.repeat(8, 2).repeat(8, 3))
    return folder


def exported(edgevision: Command, out: Path, *options: object, model: str = "tiny:classifier") -> dict[str, Any]:
    ended = edgevision("export", "--model", model, "--target", "coreml", "--out", out, "--json", *options)
    assert ended.code == 0, ended.err
    manifest: dict[str, Any] = ended.document["manifest"]
    return manifest


def program(bundle: Path) -> Program:
    return open_package(bundle / "model.mlpackage")


def test_a_bundle_says_built_not_run_with_the_emulated_proof(bundle: Path, edgevision: Command) -> None:
    document = edgevision("inspect", bundle, "--json").document
    assert document["parity"]["status"] == "built, not run"
    against = {proof["against"]: proof["max_abs_over_std"] for proof in document["proofs"]}
    assert set(against) == {"ONNX Runtime on the portable graph", "PyTorch eager, float32"}
    assert all(1e-6 < error < 4e-2 for error in against.values())
    stored = program(bundle).specification.description.metadata.userDefined
    assert stored["edgevision.graph_sha256"] == document["graph"]["sha256"] == file_sha256(bundle / "model.onnx")
    shown = edgevision("inspect", bundle).out
    assert "model.mlpackage, emulated" in shown and "built, not run" in shown
    readme = (bundle / "README.md").read_text()
    assert "MLMultiArray(shape: [1, 3, 32, 32]" in readme and "Core ML did not run" in readme


def test_verify_runs_the_program_again(bundle: Path, edgevision: Command, tmp_path: Path) -> None:
    parity = edgevision("verify", bundle, "--json").document["parity"]
    assert parity["status"] == "built, not run" and parity["samples"] == 5
    assert 1e-6 < parity["max_abs_over_std"] < 4e-2
    damaged = tmp_path / "damaged"
    shutil.copytree(bundle, damaged)
    weights = next(damaged.rglob("weight.bin"))
    weights.write_bytes(weights.read_bytes()[:-64])
    assert edgevision("verify", damaged).code == 7


def test_verify_says_no_to_another_network(bundle: Path, edgevision: Command, tmp_path: Path) -> None:
    """The portable graph is changed and the manifest made to agree: the package no longer computes it."""
    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    model = onnx.load(other / "model.onnx")
    for tensor in model.graph.initializer:
        if tensor.dims == [10]:
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) + np.float32(9), tensor.name)
            )
    onnx.save(model, other / "model.onnx")
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["graph"]["sha256"] = manifest["files"]["model.onnx"] = file_sha256(other / "model.onnx")
    (other / "manifest.json").write_text(json.dumps(manifest))
    ended = edgevision("verify", other)
    assert ended.code == 1 and "emulated" in ended.err


def test_image_input_by_the_card_and_class_names(edgevision: Command, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "image"
    manifest = exported(
        edgevision, out, "--image-input", "card", "--labels", files / "labels.txt", "--precision", "fp32"
    )
    description = program(out).specification.description
    assert description.input[0].type.WhichOneof("Type") == "imageType"
    assert description.predictedFeatureName
    assert max(proof["max_abs_over_std"] for proof in manifest["proofs"]) < 1e-4
    assert "the portable graph in ONNX Runtime" in {proof["against"] for proof in manifest["proofs"]}
    readme = (out / "README.md").read_text()
    assert "imageConstraint" in readme and "predictedFeatureName" in readme
    assert edgevision("verify", out, "--json").document["parity"]["max_abs_over_std"] < 1e-4
    with np.load(out / "sample.npz") as sample:  # what pixels can be, so that a Mac computes the very same
        pixels = (sample["input.image"] * 0.25 + 0.5) * 255
        np.testing.assert_allclose(pixels, pixels.round(), atol=1e-3)
    with EmulatedRunner(out / "model.mlpackage") as runner:
        assert runner.outputs[0].shape == (1, 10)


def test_image_input_by_numbers_for_a_file_without_a_card(bundle: Path, edgevision: Command, tmp_path: Path) -> None:
    normalization = "0.5,0.5,0.5/0.25,0.25,0.25"
    build = ("compile", bundle / "model.onnx", "--target", "coreml", "--precision", "fp32", "--image-input")
    assert edgevision(*build, normalization, "--out", tmp_path / "typed").code == 0
    refused = edgevision(*build, "card", "--out", tmp_path / "card")
    assert refused.code == 2 and "no card" in refused.err
    assert leftovers(tmp_path) == ["typed"]


def test_further_sizes(edgevision: Command, tmp_path: Path) -> None:
    exported(edgevision, tmp_path / "sizes", "--also-sizes", "48x40,64x64")
    array = program(tmp_path / "sizes").specification.description.input[0].type.multiArrayType
    assert [list(shape.shape)[2:] for shape in array.enumeratedShapes.shapes] == [[32, 32], [48, 40], [64, 64]]


def test_smaller_weights_say_what_they_cost(edgevision: Command, tmp_path: Path) -> None:
    path = tmp_path / "wide.onnx"
    weights = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 20]> g (float[1, 64] x) => (float[1, 64] y) { y = MatMul(x, w) }'
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(model, path)
    out = tmp_path / "out"
    ended = edgevision("compile", path, "--target", "coreml", "--compress-weights", "palette4", "--out", out, "--json")
    assert ended.code == 0, ended.err
    assert any("palette4 weights move the output by" in warning for warning in ended.document["manifest"]["warnings"])
    moved = edgevision("verify", out, "--json").document["parity"]
    assert moved["max_abs_over_std"] > 4e-2  # far more than fp16 costs, allowed because it was measured and said
    assert moved["tolerance"] > 4e-2


def test_int8_and_the_gate_on_the_emulated_program(
    bundle: Path, edgevision: Command, files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "int8"
    manifest = exported(edgevision, out, "--precision", "int8", "--data", files / "pictures.npy")
    assert (manifest["target"]["precision"], manifest["quantization"]["scheme"]) == ("int8", "coreml")
    kinds = {operation.kind for operation in program(out).main.operations}
    assert {"quantize", "dequantize", "constexpr_affine_dequantize"} <= kinds
    assert any(proof["what"] == "model.mlpackage, emulated" for proof in manifest["proofs"])
    ended = edgevision("regress", bundle, out, "--data", files / "pictures.npy", "--json")
    assert ended.code == 0, ended.err
    assert "emulated, and not timed" in ended.err
    assert ended.document["checks"][0]["what"] == "top-1"


#: Options -> exit code, and what the message has to name.
REFUSALS = {
    "--image-input 0.5": (2, "three means"),
    "--image-input 0.5,0.5,0.5/0,1,1": (2, "not positive"),
    "--labels no-such-file": (7, "labels cannot be read"),
    "--compress-weights int3": (2, "palette6"),
    "--compress-weights int4": (2, "iOS18"),
    "--compress-weights int8 --minimum-deployment-target iOS15": (2, "iOS16"),
    "--also-sizes 48y48": (2, "HxW"),
    "--also-sizes 48x48 --image-input card": (2, "one size"),
    "--minimum-deployment-target iOS9": (2, "iOS17"),
    "--precision bf16": (2, "fp16"),
    "--precision int8": (2, "--data"),
    "--batch 1:2:4": (4, "dynamic"),
}


@pytest.mark.parametrize("options", REFUSALS)
def test_refusals(options: str, edgevision: Command, tmp_path: Path) -> None:
    code, named = REFUSALS[options]
    ended = edgevision(
        "export", "--model", "tiny:classifier", "--target", "coreml", "--out", tmp_path / "out", *options.split()
    )
    assert ended.code == code, ended.err
    assert named in ended.err and "mend:" in ended.err
    assert not leftovers(tmp_path)


def compiled(edgevision: Command, text: str, folder: Path) -> Ended:
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 20]> {text}')
    model.graph.node[0].name = "culprit"
    onnx.save(model, folder / "graph.onnx")
    return edgevision("compile", folder / "graph.onnx", "--target", "coreml", "--out", folder / "out")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("g (float[2,2] x) => (float y) { y = Det(x) }", "Det"),
        (
            'g (float[1,1,4,4] x, float[1,3,3,2] t) => (float[1,1,3,3] y) { y = GridSample<mode="cubic">(x, t) }',
            "'mode'",
        ),
        ("g (float[1,2,1,2,1,2] x) => (float[1,2,1,2,1,2] y) { y = Relu(x) }", "rank 6"),
    ],
)
def test_graphs_that_core_ml_cannot_express(text: str, named: str, edgevision: Command, tmp_path: Path) -> None:
    ended = compiled(edgevision, text, tmp_path)
    assert ended.code == 4, ended.err
    assert named in ended.err and "mend:" in ended.err
    assert leftovers(tmp_path) == ["graph.onnx"]


def test_an_option_of_core_ml_for_another_target(edgevision: Command, tmp_path: Path) -> None:
    ended = edgevision(
        "export",
        "--model",
        "tiny:classifier",
        "--target",
        "onnx",
        "--compress-weights",
        "int8",
        "--out",
        tmp_path / "out",
    )
    assert ended.code == 2 and "--compress-weights" in ended.err


def test_running_and_measuring_need_a_mac(bundle: Path, edgevision: Command) -> None:
    for command in (("profile", bundle), ("run", bundle, bundle / "sample.npz")):
        ended = edgevision(*command)
        assert ended.code == 5, ended.err
        assert "cannot run on this machine" in ended.err
