"""`edgevision shiftadd`: what it says, writes and refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from shift_nets import network
from workspace import Command, leftovers


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    ir.save(network(), path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.npz"
    np.savez(path, images=np.random.default_rng(5).standard_normal((40, 3, 8, 8)).astype(np.float32))
    return path


def test_a_graph_is_converted_and_accounted_for(edgevision: Command, graph: Path, tmp_path: Path) -> None:
    out = tmp_path / "shifted.onnx"
    ended = edgevision("shiftadd", graph, "--form", "q", "--bits", 4, "--out", out, "--json")
    assert ended.code == 0, ended.err
    found: dict[str, Any] = ended.document
    assert [layer["name"] for layer in found["layers"]] == ["depthwise", "conv", "linear", "head"]
    assert set(found["declined"]) == {"attention", "attended"}
    assert (found["form"], found["bits"], found["stored_bits"]) == ("q", 4, 5)
    assert found["proof"]["max_abs_over_std"] <= 1e-5
    assert found["energy_uj"]["shifted"] < found["energy_uj"]["dense"]
    assert found["measured"]["pairs"] > 0
    assert found["bytes"]["after"] == out.stat().st_size
    said, work = ended.err.index("shifts save no time on stock CPUs"), ended.err.index("shiftadd: convert")
    assert said < work, "it must be said before anything is converted"
    assert "edgevision quantize" in ended.err
    again = edgevision("export", "--model", out, "--target", "ort", "--out", tmp_path / "bundle", "--json")
    assert again.code == 0, again.err
    assert again.document["manifest"]["graph"]["custom_ops"] == {"EvShiftConv": 2, "EvShiftLinear": 2}
    assert again.document["manifest"]["parity"]["status"] == "verified"


def test_people_see_every_layer(edgevision: Command, graph: Path) -> None:
    ended = edgevision("shiftadd", graph, "--select", "Conv", "--scale", "per-channel", "--fold", "--explain")
    assert ended.code == 0, ended.err
    assert "not selected" in ended.out
    assert "both its operands are computed" in ended.out
    assert "times dense's speed" in ended.out


def test_a_budget_keeps_layers_dense(edgevision: Command, graph: Path, data: Path) -> None:
    """Against the dense network's own answers; at two bits something has to give."""
    common = ("shiftadd", graph, "--data", data, "--bits", 2, "--json")
    free = edgevision(*common).document
    assert free["accuracy"]["dense"] == 100.0
    lost = 100.0 - free["accuracy"]["shifted"]
    assert lost > 5.0
    ended = edgevision(*common, "--max-drop", lost / 2)
    if ended.code == 0:
        assert 0 < len(ended.document["layers"]) < 4
        assert 100.0 - ended.document["accuracy"]["shifted"] <= lost / 2
        assert "costs too much" in ended.document["dense"].values()
    else:
        assert ended.code == 1
        assert "the mildest set measured" in ended.error["reason"]


def test_no_set_within_the_budget_is_a_gate(edgevision: Command, tmp_path: Path, data: Path) -> None:
    ir.save(network(scale=5.0), tmp_path / "net.onnx")
    ended = edgevision(
        "shiftadd", tmp_path / "net.onnx", "--data", data, "--bits", 2, "--max-drop", 0, "--select", "head", "--json"
    )
    assert ended.code == 1
    assert ended.error["thing"] == "--max-drop 0"
    assert leftovers(tmp_path) == ["data.npz", "net.onnx"]


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (("--bits", 1), 2, "2 to 8 bits"),
        (("--bits", 9), 2, "2 to 8 bits"),
        (("--form", "cubes"), 2, "no such form"),
        (("--activations", "loud"), 2, "no such activations"),
        (("--scale", "global"), 2, "no such scale"),
        (("--no-zero",), 2, "needs its zero"),
        (("--select", "nowhere"), 2, "matches no layer"),
        (("--max-drop", 1), 2, "needs --data"),
        (("--out", "shifted.pth"), 2, "an ONNX file"),
    ],
)
def test_options_that_cannot_be(
    edgevision: Command, graph: Path, options: tuple[object, ...], code: int, reason: str
) -> None:
    ended = edgevision("shiftadd", graph, *options, "--json")
    assert ended.code == code
    assert reason in ended.error["reason"]


def test_weights_that_are_no_number(edgevision: Command, tmp_path: Path) -> None:
    ir.save(network(spoil=float("nan")), tmp_path / "net.onnx")
    ended = edgevision("shiftadd", tmp_path / "net.onnx", "--json")
    assert ended.code == 3
    assert ended.error["thing"] == "tensor linear_w of net.onnx"
    assert "NaN" in ended.error["reason"]


def test_banned_zeros_and_clamped_weights_are_reported(edgevision: Command, tmp_path: Path) -> None:
    ir.save(network(scale=5.0, spoil=0.0), tmp_path / "net.onnx")
    ended = edgevision("shiftadd", tmp_path / "net.onnx", "--form", "q", "--no-zero", "--json")
    assert ended.code == 0, ended.err
    said = " ".join(ended.document["warnings"])
    assert "1 of 705 weights are 0 and became 2^-15" in said or "are 0 and became" in said
    assert "above the largest code" in said
