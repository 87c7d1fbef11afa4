"""A wrong stage stops the export and is named; an artifact that cannot run is never called verified."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from workspace import Command, leftovers

import edgevision as ev
from edgevision.errors import GraphError, TargetError
from edgevision.targets.onnxruntime import OnnxRuntime, OrtRunner
from edgevision.targets.target import OnProgress, Proof, WhyNot

reparam = importlib.import_module("edgevision.reparam")
tidy = importlib.import_module("edgevision.passes.tidy")
capture = importlib.import_module("edgevision.stages.capture")


def spoil(model: ir.Model, factor: float = 1.001) -> None:
    """One weight of the first convolution, a thousandth off: what a fold with a wrong formula would leave."""
    weight = next(node for node in model.graph if node.op_type == "Conv").inputs[1]
    assert weight is not None and weight.const_value is not None
    array = weight.const_value.numpy().copy()
    array[0] *= factor
    weight.const_value = ir.tensor(array, name=weight.name)


def plant(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, when: int = 1) -> None:
    """Make the `when`-th call of a stage's function do its work and then spoil the graph."""
    real: Callable[..., Any] = getattr(module, name)
    calls: list[int] = []

    def wrong(model: ir.Model, *more: Any) -> Any:
        result = real(model, *more)
        calls.append(1)
        if len(calls) == when:
            spoil(model)
        return result

    monkeypatch.setattr(module, name, wrong)


@pytest.mark.parametrize(
    ("module", "name", "when", "stage", "named"),
    [
        (capture, "_tidy", 1, "capture", "module stem"),
        (reparam, "reparameterize", 1, "reparam", "tensor "),
        (tidy, "tidy", 2, "passes", "tensor "),
    ],
)
def test_a_wrong_stage_is_named(
    edgevision: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    module: Any, name: str, when: int, stage: str, named: str,
) -> None:  # fmt: skip
    plant(monkeypatch, module, name, when)
    out = tmp_path / "out"
    ended = edgevision("export", "--model", "tiny:classifier", "--target", "onnx", "--out", out, "--json")
    assert ended.code == 4, ended.err
    assert ended.error["thing"] == f"stage {stage}"
    assert f"first at {named}" in ended.error["reason"]
    assert leftovers(tmp_path) == []


def test_the_first_tensor_is_the_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of all that differs behind a spoiled convolution, its own output (or what it was merged into) is named."""
    plant(monkeypatch, reparam, "reparameterize")
    with pytest.raises(GraphError, match=r"tensor \S+ of (Conv|Relu)"):
        ev.export("tiny:classifier", target="onnx", out=tmp_path / "out")


def test_a_wrong_runtime_is_named(edgevision: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every graph was proven in the reference runtime; the artifact's own computes something else."""

    def load(self: OnnxRuntime, path: Path) -> OrtRunner:
        runner = OrtRunner(path, self)
        if self.optimize:
            run = runner.session.run
            runner.session = type("Wrong", (), {"run": staticmethod(lambda *a: [1.001 * o for o in run(*a)])})()
        return runner

    monkeypatch.setattr(OnnxRuntime, "load", load)
    ended = edgevision("export", "--model", "tiny:classifier", "--target", "ort", "--out", tmp_path / "out", "--json")
    assert ended.code == 4
    assert ended.error["thing"] == "stage verify"
    assert leftovers(tmp_path) == []


@pytest.fixture
def not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle whose runtime is not here, with the proof its target did have."""
    real = OnnxRuntime.build

    def build(self: OnnxRuntime, model: ir.Model, folder: Path, on_progress: OnProgress | None = None) -> Any:
        proof = Proof(what="kernels interpreted", against="PyTorch", samples=2, max_abs_over_std=1e-6)
        return replace(real(self, model, folder, on_progress), runnable=False, proofs=(proof,))

    monkeypatch.setattr(OnnxRuntime, "build", build)
    monkeypatch.setattr(OnnxRuntime, "why_not_run", lambda self: WhyNot(reason="it is elsewhere", mend="go there"))
    return ev.export("tiny:classifier", target="ort", out=tmp_path / "out")


def test_what_did_not_run_is_not_verified(edgevision: Command, not_run: Path) -> None:
    shown = edgevision("inspect", not_run, "--json").document
    assert shown["parity"]["status"] == "built, not run"
    assert shown["parity"]["max_abs_over_std"] is None and shown["parity"]["samples"] == 0
    assert any(p["what"] == "kernels interpreted" for p in shown["proofs"])
    for words in (edgevision("inspect", not_run).out, (not_run / "README.md").read_text()):
        assert "built, not run" in words and "verified" not in words
    ended = edgevision("verify", not_run, "--json")
    assert (ended.code, ended.document["parity"]["status"]) == (0, "built, not run")


def test_what_cannot_run_is_not_run(edgevision: Command, not_run: Path, tmp_path: Path) -> None:
    array = tmp_path / "a.npy"
    np.save(array, np.zeros((3, 32, 32), np.float32))
    for command in (("run", not_run, array), ("profile", not_run)):
        ended = edgevision(*command, "--json")
        assert ended.code == 5
        assert "cannot run on this machine" in ended.error["reason"]
    with pytest.raises(TargetError):
        ev.load(not_run)


def cancelling() -> torch.nn.Module:
    """A bias of 10,000 that the norm behind it takes away again: 4 of float32's 7 digits go with it."""
    conv, norm = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)
    torch.nn.init.constant_(conv.bias, 1e4)
    torch.nn.init.constant_(norm.running_mean, 1e4)
    module = torch.nn.Sequential(conv, norm, torch.nn.ReLU()).eval()
    module.example_inputs = torch.zeros(1, 3, 16, 16)
    return module


def test_rounding_is_told_from_a_wrong_result(
    edgevision: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that float32 does not carry is refused like a spoiled one, and the errors say which is which."""
    export = ("--target", "ort", "--out", tmp_path / "out", "--json")
    amplifies = edgevision("export", "--model", "test_proofs:cancelling", *export)
    plant(monkeypatch, reparam, "reparameterize")
    spoiled = edgevision("export", "--model", "tiny:classifier", *export)
    assert (amplifies.code, spoiled.code) == (4, 4)
    assert "float32 itself costs this network" in amplifies.error["reason"]
    assert "try trained weights" in amplifies.error["mend"]
    assert "float32 costs this network only" in spoiled.error["reason"]
    assert "rounding is not the reason" in spoiled.error["reason"]
    assert "report it" in spoiled.error["mend"]
    assert leftovers(tmp_path) == []
