"""MODELs and targets that do not exist, and modules of the user's that are ill."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from workspace import Command, leftovers

import edgevision.targets.target as target_module
from edgevision.targets.target import Precision, TargetEntry, WhyNot


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_unknown_model_shows_the_nearest_and_chooses_none(edgevision: Command, tmp_path: Path) -> None:
    ended = edgevision("export", "--model", "mobilmamba_t3", "--target", "ort", "--json")
    assert ended.code == 3
    assert "mobilmamba_t3" in ended.error["thing"]
    assert "mobilemamba_t2" in ended.error["mend"]
    assert leftovers(tmp_path) == []


def test_a_name_like_no_other_shows_where_all_are(edgevision: Command) -> None:
    ended = edgevision("export", "--model", "qqqqqq", "--target", "ort")
    assert ended.code == 3
    assert "edgevision models" in ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("absent.onnx", "no such file"),
        ("tiny:absent", "has no absent"),
        ("no_such_module:net", "no module named no_such_module"),
        ("tiny:SIDE", "not callable"),
        ("tiny:no_module", "not a torch.nn.Module"),
        ("tiny:raises_when_made", "the factory of the user does not like this, at tiny.py:"),
        ("tiny:raises_in_forward", "the forward of the user does not like this, at tiny.py:"),
        ("tiny:returns_text", "returns str"),
        ("tiny:with_nan", "NaN"),
    ],
)
def test_modules_that_are_ill(edgevision: Command, tmp_path: Path, model: str, said: str) -> None:
    ended = edgevision("export", "--model", model, "--target", "onnx", "--out", "out", "--json")
    assert ended.code == 3, ended.err
    assert said in ended.error["reason"]
    assert ended.error["mend"]
    assert leftovers(tmp_path) == []


def test_a_forward_that_looks_at_values_names_its_line(edgevision: Command, tmp_path: Path) -> None:
    ended = edgevision("export", "--model", "tiny:looks_at_values", "--target", "onnx", "--out", "out", "--json")
    assert ended.code == 4
    assert "tiny.py" in ended.error["reason"] and "image.sum() > 0" in ended.error["reason"]
    assert "docs/errors.md" in ended.error["mend"] and "not on values" in ended.error["mend"]
    assert "torch.ops.aten" not in ended.err  # torch prints the whole graph
    assert leftovers(tmp_path) == []


def test_a_forward_that_leaves_torch_names_its_line(edgevision: Command, tmp_path: Path) -> None:
    ended = edgevision("export", "--model", "tiny:leaves_torch", "--target", "onnx", "--out", "out", "--json")
    assert ended.code == 4
    assert "tiny.py" in ended.error["reason"] and "torch.from_numpy(" in ended.error["reason"]
    assert "torch's operators" in ended.error["mend"]
    assert leftovers(tmp_path) == []


def test_noise_in_eval_mode_is_not_captured(edgevision: Command, tmp_path: Path) -> None:
    """A noisy gate that was forgotten: no answer of the graph could be held against the model's."""
    ended = edgevision("export", "--model", "tiny:always_noisy", "--target", "onnx", "--out", "out", "--json")
    assert ended.code == 4
    assert "it draws new random numbers in every run, as dropout or a noisy gate does" in ended.error["reason"]
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("argument", "said"), [("classes=10.5", "classes"), ("depth=3", "depth"), ("classes", "not of the form K=V")]
)
def test_arguments_a_model_does_not_take(edgevision: Command, argument: str, said: str) -> None:
    ended = edgevision("export", "--model", "tiny:classifier", "--target", "onnx", "--model-arg", argument, "--json")
    assert ended.code in (2, 3)
    assert said in ended.error["reason"] + ended.error["thing"]


def test_unknown_field_of_a_card_lists_the_fields(edgevision: Command) -> None:
    ended = edgevision("export", "--model", "mobilemamba", "--target", "onnx", "--model-arg", "colour=3", "--json")
    assert ended.code == 2
    assert "num_classes" in ended.error["mend"]


def test_unknown_target_lists_all(edgevision: Command, tmp_path: Path) -> None:
    ended = edgevision("export", "--model", "tiny:classifier", "--target", "tflite", "--json")
    assert ended.code == 2
    assert ended.error["thing"] == "--target tflite"
    assert "onnx" in ended.error["mend"] and "ort" in ended.error["mend"]
    assert leftovers(tmp_path) == []


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A target whose package is not there."""

    precision: Precision = "fp32"

    def why_not(self) -> WhyNot:
        return WhyNot(reason="the package tflite is not installed", mend="pip install 'edgevision[tflite]'")


def test_target_whose_package_is_missing(edgevision: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = TargetEntry(name="tflite", summary="", create=Missing, package="tflite", extra="tflite")
    real = dict(target_module.targets())
    for where in ("edgevision.stages.compile.targets", "edgevision.targets.target.targets"):
        monkeypatch.setattr(where, lambda: {**real, "tflite": entry})
    ended = edgevision("export", "--model", "tiny:classifier", "--target", "tflite", "--json")
    assert ended.code == 5
    assert ended.error["reason"] == "the package tflite is not installed"
    assert ended.error["mend"] == "pip install 'edgevision[tflite]'"
    assert leftovers(tmp_path) == []


def test_onnxruntime_missing(edgevision: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevision.targets.onnxruntime.target.find_spec", lambda _name: None)
    ended = edgevision("export", "--model", "tiny:classifier", "--target", "ort", "--json")
    assert ended.code == 5
    assert "pip install onnxruntime" in ended.error["mend"]


@pytest.mark.parametrize("version", ["1.20.1", "1.9.0", "0.5"])
def test_onnxruntime_older_than_the_kernels_api(
    edgevision: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    from edgevision import native

    if native.library_path() is None:
        pytest.skip("the kernel library is not built")
    monkeypatch.setattr(native, "_runtime_version", lambda: version)
    arguments = ("export", "--model", "tiny:scanner", "--target", "ort", "--out", "out", "--json")
    ended = edgevision(*arguments)
    assert ended.code == 5
    assert version in ended.error["reason"] and "1.21" in ended.error["reason"]
    assert "onnxruntime>=1.21" in ended.error["mend"] and "--no-plugins" in ended.error["mend"]
    assert leftovers(tmp_path) == []


def test_without_kernels_an_old_onnxruntime_serves(edgevision: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgevision import native

    monkeypatch.setattr(native, "_runtime_version", lambda: "1.20.1")
    ended = edgevision("export", "--model", "tiny:scanner", "--target", "ort", "--no-plugins", "--out", "out", "--json")
    assert ended.code == 0
    assert ended.document["manifest"]["artifact"]["library"] is None
    assert ended.document["manifest"]["parity"]["status"] == "verified"


@pytest.mark.parametrize("precision", ["fp16", "int8", "fp4"])
def test_a_precision_the_target_does_not_build(edgevision: Command, precision: str) -> None:
    ended = edgevision("export", "--model", "tiny:classifier", "--target", "onnx", "--precision", precision, "--json")
    assert ended.code == 2
    assert "fp32" in ended.error["mend"]
