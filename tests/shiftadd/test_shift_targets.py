"""Converted networks and whole networks of mixtures on ONNX Runtime, TensorRT and Core ML, each with its parity."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from shift_nets import network
from workspace import Command

from edgevision import load
from edgevision.models.primitive_mixture import set_dispatch
from edgevision.models.pvt_v2 import mixed
from edgevision.proof import difference
from edgevision.shiftadd.recover import CONFIG

TARGETS = {
    "ort": "onnxruntime",
    "trt": "tensorrt_rtx",
    "coreml": "coremltools",
}
#: What the last row of a manifest's proofs may be away, in std: fp32, fp32 and fp16.
TOLERANCES = {"ort": 1e-4, "trt": 1e-4, "coreml": 2e-2}


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each target whose package is here."""
    if find_spec(TARGETS[request.param]) is None:
        pytest.skip(f"{TARGETS[request.param]} is not installed")
    yield request.param


def shown(manifest: dict[str, Any], target: str) -> float:
    """How far the artifact is from the model, run where it can be and by the proofs it has elsewhere."""
    if target == "ort":
        assert manifest["parity"]["status"] == "verified"
        return float(manifest["parity"]["max_abs_over_std"])
    assert manifest["parity"]["status"] == "built, not run"
    assert manifest["proofs"]
    return max(float(proof["max_abs_over_std"]) for proof in manifest["proofs"])


def exported(edgevision: Command, target: str, model: object, out: Path, *options: object) -> dict[str, Any]:
    ended = edgevision("export", "--model", model, "--target", target, *options, "--out", out, "--json")
    assert ended.code == 0, ended.err
    manifest: dict[str, Any] = ended.document["manifest"]
    return manifest


@pytest.mark.parametrize("activations", ["float", "fixed"])
def test_a_converted_graph_on_every_target(edgevision: Command, target: str, activations: str, tmp_path: Path) -> None:
    """Linear layers and convolutions, through their bodies; the codes are still in the portable graph."""
    ir.save(network(), tmp_path / "net.onnx")
    out = tmp_path / "shifted.onnx"
    assert edgevision("shiftadd", tmp_path / "net.onnx", "--activations", activations, "--out", out).code == 0
    manifest = exported(edgevision, target, out, tmp_path / "bundle")
    assert manifest["graph"]["custom_ops"] == {"EvShiftConv": 2, "EvShiftLinear": 2}
    assert shown(manifest, target) <= TOLERANCES[target]


@pytest.fixture(scope="module")
def dispatch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture that sends each token to its expert alone."""
    torch.manual_seed(0)
    model, path = mixed(12, 7).eval(), tmp_path_factory.mktemp("dispatch") / "dispatch.onnx"
    set_dispatch(model, True)
    program = torch.onnx.export(model, (torch.randn(1, 9, 12),), dynamo=True, opset_version=20, verbose=False)
    assert program is not None
    program.save(path)
    return path


def test_a_dispatch_is_for_onnx_runtime_only(edgevision: Command, target: str, dispatch: Path, tmp_path: Path) -> None:
    """Its shapes depend on the tokens: who cannot have that says so before anything is built."""
    ended = edgevision("export", "--model", dispatch, "--target", target, "--out", tmp_path / "bundle", "--json")
    if target == "ort":
        assert ended.code == 0, ended.err
        return
    assert ended.code == 4
    assert "NonZero" in ended.error["reason"]
    assert not (tmp_path / "bundle").exists()


@pytest.mark.zoo
@pytest.mark.parametrize("name", ["pvt_v2_b0_linangular", "pvt_v2_b0_linangular_moe"])
def test_whole_networks_on_every_target(edgevision: Command, target: str, name: str, tmp_path: Path) -> None:
    """The digits' PVT: shifted, and as mixtures of both primitives with a Where."""
    arguments = [f"{key}={json.dumps(value)}" for key, value in CONFIG.items()]
    options = [item for argument in arguments for item in ("--model-arg", argument)] + ["--input-size", "32x32"]
    model: object = name
    if not name.endswith("moe"):
        model = tmp_path / "shifted.onnx"
        assert edgevision("shiftadd", name, *options, "--out", model).code == 0
        options = []
    manifest = exported(edgevision, target, model, tmp_path / "bundle", *options)
    # Half precision moves what a router looks at a thousand times further than float32, over more edges.
    assert shown(manifest, target) <= (10 if name.endswith("moe") and target == "coreml" else 1) * TOLERANCES[target]


@pytest.mark.zoo
def test_a_whole_network_that_dispatches(edgevision: Command, tmp_path: Path) -> None:
    """Every mixture computes each token once, and the answers are those of both experts with a Where."""
    arguments = [f"{key}={json.dumps(value)}" for key, value in CONFIG.items()]
    options = [item for argument in arguments for item in ("--model-arg", argument)] + ["--input-size", "32x32"]
    bundles = {}
    for dispatch in ("false", "true"):
        bundles[dispatch] = tmp_path / dispatch
        given = (*options, "--model-arg", f"dispatch={dispatch}")
        manifest = exported(edgevision, "ort", "pvt_v2_b0_linangular_moe", bundles[dispatch], *given)
        assert shown(manifest, "ort") <= TOLERANCES["ort"]
    kinds = {key: {n.op_type for n in ir.load(path / "model.onnx").graph} for key, path in bundles.items()}
    assert "NonZero" in kinds["true"] - kinds["false"]
    image = np.random.default_rng(1).standard_normal((1, 3, 32, 32)).astype(np.float32)
    both, own = (load(bundles[key])(image)[0] for key in ("false", "true"))
    assert difference(both, own).max_abs_over_std <= 1e-3
