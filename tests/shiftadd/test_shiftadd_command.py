"""`edgevision shiftadd`: what it says, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from shift_nets import network
from workspace import Command, leftovers

from edgevision import load
from edgevision.proof import difference


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


def test_integers_end_to_end(edgevision: Command, graph: Path, tmp_path: Path) -> None:
    """Converted, exported, verified through our kernels; runtimes without 64-bit numbers refuse it."""
    out = tmp_path / "shifted.onnx"
    ended = edgevision("shiftadd", graph, "--activations", "int32", "--out", out, "--json")
    assert ended.code == 0, ended.err
    assert ended.document["answers"]["relative_l2_error"] > 0.01
    made = edgevision("export", "--model", out, "--target", "ort", "--out", tmp_path / "bundle", "--json")
    assert made.code == 0, made.err
    manifest = made.document["manifest"]
    assert manifest["graph"]["custom_ops"] == {"EvShiftConv": 2, "EvShiftLinear": 2}
    assert manifest["parity"]["status"] == "verified"
    lowered = ir.load(tmp_path / "bundle" / manifest["artifact"]["path"])
    assert sum(node.op_type.startswith("EvShift") for node in lowered.graph) == 4, "the kernels keep their layers"
    assert edgevision("verify", tmp_path / "bundle").code == 0
    for target in ("trt", "coreml"):
        refused = edgevision("export", "--model", out, "--target", target, "--out", tmp_path / target, "--json")
        if refused.code == 5 and "not installed" in refused.error["reason"]:
            continue
        assert refused.code == 4
        assert "64-bit numbers" in refused.error["reason"]
        assert "--activations fixed" in refused.error["mend"]


def test_the_bundle_of_a_converted_file_knows_its_weights_and_its_images(
    edgevision: Command, graph: Path, tmp_path: Path
) -> None:
    model, how = ir.load(graph), {"mean": [0.5], "std": [0.25], "task": "classification"}
    model.metadata_props["edgevision.preprocess"] = json.dumps(how)
    ir.save(model, graph)
    counts, found = [], []
    for options in ((), ("--form", "apot", "--scale", "per-channel")):
        out = tmp_path / f"out{len(counts)}.onnx"
        assert edgevision("shiftadd", graph, *options, "--out", out).code == 0
        made = edgevision("export", "--model", out, "--target", "onnx", "--out", tmp_path / out.stem, "--json")
        counts.append(made.document["manifest"]["model"]["params"])
        found.append(made.document["manifest"]["model"]["preprocess"])
    weights, biases, scales = 27 + 216 + 48 + 384, 8 + 6 + 4, 3 + 8 + 6 + 4
    assert counts == [weights + biases, weights + biases + scales]
    assert found == [how, how]
    model.metadata_props["edgevision.preprocess"] = "[1, 2"
    ir.save(model, graph)
    ended = edgevision("shiftadd", graph, "--json")
    assert ended.code == 4
    assert "no JSON object" in ended.error["reason"]


def test_an_open_batch_stays_open(edgevision: Command, graph: Path, tmp_path: Path) -> None:
    """Two sizes through one artifact, each image as alone; work and energy are those of one image."""
    model = ir.load(graph)
    _open_batch(model)
    ir.save(ir.from_proto(onnx.shape_inference.infer_shapes(ir.to_proto(model))), graph)
    out = tmp_path / "shifted.onnx"
    ended = edgevision("shiftadd", graph, "--batch", "1:2:3", "--out", out, "--json")
    assert ended.code == 0, ended.err
    assert [layer["macs"] for layer in ended.document["layers"]] == [3 * 64 * 9, 8 * 16 * 27, 16 * 6 * 8, 4 * 96]
    assert ended.document["energy_uj"] is not None
    made = edgevision(
        "export", "--model", out, "--target", "ort", "--batch", "1:2:3", "--out", tmp_path / "b", "--json"
    )
    assert made.code == 0, made.err
    runner, images = load(tmp_path / "b"), np.random.default_rng(3).standard_normal((3, 3, 8, 8)).astype(np.float32)
    (three,) = runner(images)
    alone = [runner(images[i : i + 1])[0] for i in range(3)]
    assert difference(np.concatenate(alone), three).max_abs_over_std <= 1e-5


def test_open_token_counts_of_a_file_are_refused(edgevision: Command, tmp_path: Path) -> None:
    """Its samples, its time and its energy need a size, and no option gives one to this axis."""
    text = """<ir_version: 10, opset_import: ["" : 20]>
    net (float[1, tokens, 8] x) => (float[1, tokens, 4] y) { y = MatMul(x, w) }"""
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((8, 4), np.float32), "w"))
    onnx.save(proto, tmp_path / "tokens.onnx")
    ended = edgevision("shiftadd", tmp_path / "tokens.onnx", "--json")
    assert ended.code == 2
    assert ended.error["reason"] == "its dimension 1 (tokens) has no size"
    assert "export the model with this dimension fixed" in ended.error["mend"]


def test_measured_energy_stands_beside_the_estimate(edgevision: Command, graph: Path, tmp_path: Path) -> None:
    files = {"dense.json": profile("net", "orin", 3.0, 2.5), "shifted.json": profile("shifted", "pi", 4.0, None)}
    for name, document in files.items():
        (tmp_path / name).write_text(json.dumps(document))
    given = [item for name in files for item in ("--profile", tmp_path / name)]
    ended = edgevision("shiftadd", graph, *given, "--json")
    assert ended.code == 0, ended.err
    first, second = ended.document["profiled"]
    assert (first["device"], first["energy_mj"], first["why_no_energy"]) == ("orin", 2.5, None)
    assert (first["p50_ms"], first["interval"], second["model"]) == (3.0, [2.5, 3.5], "shifted")
    assert (second["energy_mj"], second["why_no_energy"]) == (None, "it has no sensor")
    shown = edgevision("shiftadd", graph, *given)
    assert "2.5" in shown.out
    assert "not known" in shown.out
    (tmp_path / "dense.json").write_text("{}")
    assert edgevision("shiftadd", graph, *given, "--json").code == 7


def profile(model: str, device: str, p50: float, energy: float | None) -> dict[str, Any]:
    """What is needed of a document of `edgevision profile`."""
    latency = {"p50": p50, "p90": p50, "p99": p50, "cv": 0.0, "interval": [p50 - 0.5, p50 + 0.5], "samples": [p50]}
    return {
        "schema_version": 1,
        "bundle": {"model": model, "target": "ort", "precision": "fp32"},
        "device": {"name": device, "emulated": False},
        "latency_ms": latency,
        "verdict": "stable",
        "reasons": [],
        "energy_mj": energy,
    }


def _open_batch(model: ir.Model) -> None:
    """`batch` in place of 1 in the input and in the shapes that are written into the graph."""
    for value in [*model.graph.inputs, *model.graph.outputs]:
        value.shape = ir.Shape(["batch", *list(value.shape)[1:]])
    for value in (v for node in model.graph for v in node.outputs if not v.is_graph_output()):
        value.shape = None
    for name, dims in (("tokens", [0, 8, 16]), ("rows", [0, 96])):
        model.graph.initializers[name].const_value = ir.tensor(np.array(dims), name=name)


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
