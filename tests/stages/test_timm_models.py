"""`timm:NAME`: the whole path from the command line, beside a torchvision that fits and one that does not."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import onnx
import pytest
from workspace import Command, children_environment, leftovers

from edgevision.import_timm import import_timm
from edgevision.targets.target import targets

needs_timm = pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed")

#: A timm that looks an operator of torchvision's up, as torchvision does when it is imported.
LOOKS_UP = """
import torch
torch.library.register_fake("torchvision::nms")(lambda *arguments: None)
"""
ASK = """
from edgevision.import_timm import import_timm, torchvision_note
print(import_timm().__file__)
print(torchvision_note())
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@needs_timm
def test_the_whole_path(edgevision: Command) -> None:
    """Branches of a network nobody here wrote are merged, the batch is open, and ONNX Runtime computes the same."""
    model = ("--model", "timm:test_byobnet", "--model-arg", "num_classes=7", "--input-size", "65x96")
    ended = edgevision("export", *model, "--target", "ort", "--batch", "1:2:3", "--out", "out", "--json")
    assert ended.code == 0, ended.err
    manifest = ended.document["manifest"]
    assert manifest["model"]["name"] == "timm:test_byobnet"
    assert manifest["model"]["input_shape"] == ["batch", 3, 65, 96]
    assert manifest["model"]["preprocess"]["crop_pct"] == 0.95
    assert manifest["parity"]["status"] == "verified" and manifest["parity"]["max_abs_over_std"] < 1e-4
    (reparam,) = (s for s in manifest["stages"] if s["name"] == "reparam")
    assert "merges applied" in reparam["notes"][0] and not reparam["notes"][0].startswith("0 ")
    assert "random weights" in ended.err


@needs_timm
@pytest.mark.zoo
@pytest.mark.parametrize("name", ["ort", "trt", "coreml"])
@pytest.mark.parametrize(
    ("model", "outputs", "left"),
    [(["timm:mobileone_s0"], 1, set()), (["timm:test_byobnet", "--model-arg", "features_only=true"], 5, {"Add"})],
)
def test_a_training_form_on_every_target(
    edgevision: Command, name: str, model: list[str], outputs: int, left: set[str]
) -> None:
    """Up to six branches a block, each with its norm, end as one convolution on each; and so do those of five feature maps."""
    missing = targets()[name].create().why_not()
    if missing is not None:
        pytest.skip(missing.reason)
    given = ("--model", *model, "--input-size", "64", "--target", name, "--precision", "fp32")
    ended = edgevision("export", *given, "--out", "out", "--json")
    assert ended.code == 0, ended.err
    manifest = ended.document["manifest"]
    errors = [manifest["parity"]["max_abs_over_std"], *(p["max_abs_over_std"] for p in manifest["proofs"])]
    assert max(e for e in errors if e is not None) < 1e-4
    graph = onnx.load("out/model.onnx").graph
    assert {"BatchNormalization", "Add"} & {node.op_type for node in graph.node} == left
    assert len(manifest["outputs"]) == outputs


@needs_timm
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["timm:test_byobnett"], 3, "nearest: test_byobnet"),
        (["timm:test_byobnet", "--model-arg", "colour=3"], 2, "colour"),
        (["timm:test_byobnet", "--model-arg", "in_chans=many"], 2, "in_chans"),
    ],
)
def test_what_timm_does_not_have(
    edgevision: Command, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    ended = edgevision("reparam", *arguments, "--out", "out.onnx", "--json")
    assert ended.code == code, ended.err
    assert said in ended.error["thing"] + ended.error["reason"]
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("model", ["timm:resnet18", "inceptionnext_atto"])
def test_without_timm(edgevision: Command, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    import_timm.cache_clear()
    monkeypatch.setitem(sys.modules, "timm", None)
    ended = edgevision("export", "--model", model, "--target", "onnx", "--json")
    assert ended.code == 3
    assert ended.error["reason"] == "the package timm is not installed"
    assert ended.error["mend"] == "pip install 'edgevision[timm]'"


def test_a_torchvision_built_for_another_torch(tmp_path: Path) -> None:
    """The operators that it lacks are declared, and the user is told."""
    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    (tmp_path / "timm").mkdir()
    (tmp_path / "timm" / "__init__.py").write_text(LOOKS_UP)
    environment = children_environment()
    environment["PYTHONPATH"] = f"{tmp_path}:{environment['PYTHONPATH']}"
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True)
    file, note = done.stdout.splitlines()
    assert Path(file).parent == tmp_path / "timm"
    assert "was not built for torch" in note and "install the torchvision" in note


@pytest.mark.parametrize("error", [RuntimeError("CUDA has no heart"), OSError("libtorch.so: cannot open")])
def test_a_timm_that_cannot_be_imported(edgevision: Command, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken() -> None:
        raise error

    import_timm.cache_clear()
    monkeypatch.setattr("edgevision.import_timm._import", broken)
    ended = edgevision("export", "--model", "timm:resnet18", "--target", "onnx", "--json")
    assert ended.code == 3
    assert str(error) in ended.error["reason"]
    assert "the torchvision that was built for your torch" in ended.error["mend"]
