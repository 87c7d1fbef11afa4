"""The command of the project's first sentence, down to the engine."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from nets import needs_rtx

from edgevision.pipeline import ExportOptions, export_bundle

pytestmark = [
    needs_rtx,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed"),
]


zoo = pytest.mark.zoo
NETWORKS = [
    pytest.param("mobilemamba_t2", "fp16", 15),
    pytest.param("mobilemamba_t2", "fp32", 15, marks=zoo),
    *[pytest.param("mobilemamba_s6", p, 15, marks=zoo) for p in ("fp32", "fp16")],
    *[pytest.param("mobilemamba_b1", p, 21, marks=zoo) for p in ("fp32", "fp16")],
]


@pytest.mark.parametrize(("model", "precision", "operators"), NETWORKS)
def test_every_operator_is_a_plugin_layer(model: str, precision: str, operators: int, tmp_path: Path) -> None:
    options = ExportOptions(model=model, target="trt", precision=precision, out=tmp_path / "bundle", samples=1)
    manifest = export_bundle(options).manifest
    record = json.loads((tmp_path / "bundle" / "engine.json").read_text())
    assert sum(manifest.graph.custom_ops.values()) == operators
    assert record["plugin_layers"] == operators
    assert manifest.parity.status in ("built, not run", "verified")
    assert len(manifest.proofs) >= 9


@zoo
@pytest.mark.parametrize("model", ["mobilemamba_t2", "mobilemamba_s6", "mobilemamba_b1"])
def test_without_plugins_it_builds_too(model: str, tmp_path: Path) -> None:
    options = ExportOptions(model=model, target="trt", plugins=False, out=tmp_path / "bundle", samples=1)
    assert export_bundle(options).manifest.proofs
    record = json.loads((tmp_path / "bundle" / "engine.json").read_text())
    assert record["plugin_layers"] == 0
    assert record["layers"]
