"""ONNX files from elsewhere that hold what cannot be merged: each is merged around or refused, and says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper, parser
from workspace import Command, leftovers

HEAD = '<ir_version: 10, opset_import: ["" : 20, "of.another" : 1]> net ({inputs}) => (float[1,4,8,8] y) {{ {body} }}'
IMAGE = "float[1,3,8,8] x"
CONV = "c = Conv <pads=[1,1,1,1]> (x, w)"
NORM = "y = BatchNormalization (c, scale, shift, mean, variance)"
MYSTERY = "n = BatchNormalization (c, scale, shift, mean, variance) y = of.another.Mystery (n)"
Weights = dict[str, NDArray[np.generic]]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def norm(**other: object) -> Weights:
    plain = {"scale": np.full(4, 1.5), "shift": np.zeros(4), "mean": np.ones(4), "variance": np.full(4, 2.0)}
    return {name: np.asarray(value, np.float32) for name, value in {**plain, **other}.items()}


def kernel() -> Weights:
    return {"w": np.random.default_rng(0).standard_normal((4, 3, 3, 3), dtype=np.float32)}


def write(body: str, weights: Weights, inputs: str = IMAGE) -> str:
    model = parser.parse_model(HEAD.format(inputs=inputs, body=body))
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in weights.items())
    onnx.save(model, "given.onnx")
    return "given.onnx"


def kinds(path: str) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize(
    ("body", "weights", "inputs", "reason"),
    [
        (f"{CONV} {NORM}", norm(), f"{IMAGE}, float[4,3,3,3] w", "'w' is a graph input, not a constant"),
        (f"{CONV} {NORM}", norm() | kernel(), f"{IMAGE}, float[4,3,3,3] w", "whoever runs the model may replace it"),
        (
            f"w = DequantizeLinear (q, step) {CONV} {NORM}",
            norm() | {"q": np.full((4, 3, 3, 3), 7, np.int8), "step": np.asarray(0.01, np.float32)},
            IMAGE,
            "computed by DequantizeLinear",
        ),
    ],
)
def test_weights_that_are_not_ours_to_merge(
    edgevision: Command, body: str, weights: Weights, inputs: str, reason: str
) -> None:
    """Inputs, overridable initializers and int8 weights: the file goes through unmerged, and the reason is told."""
    path = write(body, weights, inputs)
    ended = edgevision("reparam", path, "--out", "out.onnx", "--json")
    assert ended.code == 0, ended.err
    assert ended.document["applied"] == []
    assert reason in ended.document["declined"][0]["reason"]
    assert kinds("out.onnx") == kinds(path)


def test_half_precision_weights_are_left(edgevision: Command) -> None:
    half = {"w": kernel()["w"].astype(np.float16), "s": np.full((4, 1, 1), 2, np.float16)}
    body = "h = Cast <to=10> (x) c = Conv <pads=[1,1,1,1]> (h, w) m = Mul (c, s) y = Cast <to=1> (m)"
    ended = edgevision("reparam", write(body, half), "--json")
    assert ended.code == 0, ended.err
    assert "float16: merging would round it twice" in ended.document["declined"][0]["reason"]


def test_unknown_domains_are_kept_and_reported(edgevision: Command, tmp_path: Path) -> None:
    path = write(f"{CONV} {MYSTERY}", norm() | kernel())
    ended = edgevision("reparam", path, "--out", "out.onnx", "--json")
    assert ended.code == 0, ended.err
    assert kinds("out.onnx") == ["Conv", "Mystery"]
    assert "of.another::Mystery" in ended.err and "the whole is not" in " ".join(ended.err.split())
    assert all(s["max_abs_over_std"] is None for s in ended.document["stages"])
    assert ended.document["applied"][0]["error_float64"] <= 1e-9, "each merge has its own proof"


def test_unknown_domains_cannot_be_exported(edgevision: Command, tmp_path: Path) -> None:
    path = write(f"{CONV} {MYSTERY}", norm() | kernel())
    ended = edgevision("export", "--model", path, "--target", "ort", "--json")
    assert ended.code == 4
    assert "of.another::Mystery" in ended.error["reason"] and "edgevision reparam" in ended.error["mend"]
    assert leftovers(tmp_path) == ["given.onnx"]


@pytest.mark.parametrize(
    ("body", "weights", "code", "said"),
    [
        (f"{CONV} {NORM}", norm(variance=[1, np.nan, 1, 1]), 3, "tensor variance of given.onnx it has NaN values"),
        (f"{CONV} {NORM}", norm(variance=[1, -1, 1, 1]), 3, "it computes NaN or Inf"),
        (f"{CONV} {NORM.replace('y =', 'y, m, v =').replace(' (', ' <training_mode=1> (')}", norm(), 4, "training mode"),
        (f"{CONV} y = Dropout (c, ratio, on)", {"ratio": np.asarray(0.5, np.float32), "on": np.asarray(True)}, 4, "training mode"),
        (f"{CONV} n = RandomNormalLike (c) y = Add (c, n)", {}, 4, "it draws new random numbers in every run"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["reparam", "export"])
def test_graphs_that_compute_nothing_that_can_be_proven(
    edgevision: Command, tmp_path: Path, command: str, body: str, weights: Weights, code: int, said: str
) -> None:
    path = write(body, weights | kernel())
    arguments = (path, "--out", "out.onnx") if command == "reparam" else ("--model", path, "--target", "onnx")
    ended = edgevision(command, *arguments, "--json")
    assert ended.code == code, ended.err
    assert said in f"{ended.error['thing']} {ended.error['reason']}"
    assert ended.error["mend"]
    assert leftovers(tmp_path) == ["given.onnx"]


def test_weights_in_a_file_beside(edgevision: Command) -> None:
    """What torch's exporter writes by default; the result is one file."""
    path = write(f"{CONV} {NORM}", norm() | kernel())
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="given.data", size_threshold=0)
    assert Path("given.data").stat().st_size > 0
    ended = edgevision("reparam", path, "--out", "out.onnx", "--json")
    assert ended.code == 0, ended.err
    Path("given.data").unlink()
    assert kinds("out.onnx") == ["Conv"]
    onnx.checker.check_model("out.onnx", full_check=True)


def test_a_dead_channel_is_merged_and_noted(edgevision: Command) -> None:
    path = write(f"{CONV} {NORM}", norm(variance=[1, 0, 1, 1]) | kernel())
    ended = edgevision("reparam", path, "--out", "out.onnx", "--json")
    assert ended.code == 0, ended.err
    assert kinds("out.onnx") == ["Conv"]
    assert "variance 0 in 1 channels" in ended.document["applied"][0]["note"]
