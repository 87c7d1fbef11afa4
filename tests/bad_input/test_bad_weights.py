"""Checkpoints that do not fit, are damaged, or would run code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from workspace import Command, Ended, leftovers


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.pth"
    torch.save(tiny.classifier().state_dict(), path)
    return path


def export(edgevision: Command, weights: Path, *more: str) -> Ended:
    out = weights.parent / "out"
    ended = edgevision(
        "export", "--model", "tiny:classifier", "--target", "onnx", "--weights", weights, "--out", out, "--json", *more
    )
    if ended.code != 0:
        assert not out.exists()
        assert not [name for name in leftovers(weights.parent) if name.startswith(".")]
    return ended


def refused(edgevision: Command, weights: Path, *said: str) -> None:
    ended = export(edgevision, weights)
    assert ended.code == 3, ended.err
    assert str(weights) in ended.error["thing"]
    assert ended.error["mend"]
    for part in said:
        assert part in ended.error["reason"]


def test_what_fits_is_taken(edgevision: Command, weights: Path) -> None:
    ended = export(edgevision, weights)
    assert ended.code == 0
    assert ended.document["manifest"]["model"]["weights"]["source"] == "weights.pth"


def change(weights: Path, **changes: Any) -> None:
    state = torch.load(weights)
    for name, value in changes.items():
        key = name.replace("__", ".")
        if value is None:
            del state[key]
        else:
            state[key] = value
    torch.save(state, weights)


def test_missing_unexpected_and_mis_shaped_at_once(edgevision: Command, weights: Path) -> None:
    change(weights, stem__weight=None, head__bias=torch.zeros(11), colour=torch.zeros(3))
    refused(
        edgevision, weights, "1 missing: stem.weight", "1 unexpected: colour", "1 mis-shaped: head.bias (11,) instead"
    )


def test_the_first_five_are_named(edgevision: Command, weights: Path) -> None:
    change(weights, **{f"extra_{i}": torch.zeros(1) for i in range(7)})
    ended = export(edgevision, weights)
    assert "7 unexpected: extra_0, extra_1, extra_2, extra_3, extra_4, …" in ended.error["reason"]
    assert "extra_5" not in ended.error["reason"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_inf(edgevision: Command, weights: Path, value: float) -> None:
    change(weights, head__bias=torch.full((10,), value))
    refused(edgevision, weights, "head.bias", "NaN or infinite")


class Malicious:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("how", ["torch.save", "pickle"])
def test_a_pickle_that_would_run_code(edgevision: Command, weights: Path, how: str) -> None:
    trace = weights.parent / "executed"
    content = {"state_dict": {}, "payload": Malicious(trace)}
    if how == "torch.save":
        torch.save(content, weights)
    else:
        weights.write_bytes(pickle.dumps(content))
    refused(edgevision, weights)
    assert not trace.exists()
    torch.load(weights, weights_only=False) if how == "torch.save" else pickle.loads(weights.read_bytes())
    assert trace.exists(), "the payload works, so refusing it was needed"


def test_truncated(edgevision: Command, weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:-200])
    refused(edgevision, weights, "truncated")


def test_empty(edgevision: Command, weights: Path) -> None:
    weights.write_bytes(b"")
    refused(edgevision, weights, "empty")


def test_a_folder(edgevision: Command, tmp_path: Path) -> None:
    folder = tmp_path / "weights.pth"
    folder.mkdir()
    refused(edgevision, folder, "folder")


def test_absent(edgevision: Command, tmp_path: Path) -> None:
    refused(edgevision, tmp_path / "absent.pth", "no such file")


def test_text(edgevision: Command, weights: Path) -> None:
    weights.write_text("these are not the weights you are looking for")
    refused(edgevision, weights, "not a checkpoint")


def test_unreadable(edgevision: Command, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read anything, so the system's answer is given in its place; it is not blamed on the output."""

    def deny(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("edgevision.weights.read_checkpoint", deny)
    refused(edgevision, weights, "Permission denied")


def test_a_key_that_is_not_there(edgevision: Command, weights: Path) -> None:
    ended = export(edgevision, weights, "--weights-key", "net_E")
    assert ended.code == 3
    assert "net_E" in ended.error["reason"]


def test_a_key_without_weights(edgevision: Command) -> None:
    ended = edgevision("export", "--model", "tiny:classifier", "--target", "onnx", "--weights-key", "net", "--json")
    assert ended.code == 2


@pytest.mark.parametrize("option", ["--weights", "--weights-key", "--model-arg"])
@pytest.mark.parametrize("command", [("export", "--target", "onnx", "--model"), ("reparam",), ("shiftadd",)])
def test_an_onnx_file_has_its_own_weights(
    edgevision: Command, tiny_bundle: Path, command: tuple[str, ...], option: str
) -> None:
    ended = edgevision(*command, tiny_bundle / "model.onnx", option, "net=1", "--json")
    assert ended.code == 2
    assert ended.error["thing"] == option and "its own weights" in ended.error["reason"]


def test_checkpoint_of_another_variant(edgevision: Command, tmp_path: Path) -> None:
    """On a model of the zoo: its own strict loading names what is wrong, before anything is captured."""
    path = tmp_path / "weights.pth"
    torch.save({"net": tiny.classifier().state_dict()}, path)
    ended = edgevision("export", "--model", "mobilemamba", "--target", "onnx", "--weights", path, "--json")
    assert ended.code == 3
    assert "missing: " in ended.error["reason"] and "unexpected: stem.weight" in ended.error["reason"]
