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


@pytest.mark.parametrize(
    ("model", "precision", "plugins"),
    [("mobilemamba_t2", "fp32", True), ("mobilemamba_t2", "fp16", True), ("mobilemamba_t2", "bf16", False)],
)
def test_every_operator_of_mobilemamba_is_a_plugin_layer(
    model: str, precision: str, plugins: bool, tmp_path: Path
) -> None:
    options = ExportOptions(
        model=model, target="trt", precision=precision, plugins=plugins, out=tmp_path / "bundle", samples=1
    )
    manifest = export_bundle(options).manifest
    record = json.loads((tmp_path / "bundle" / "engine.json").read_text())
    nodes = sum(manifest.graph.custom_ops.values())
    assert nodes == 15
    assert record["plugin_layers"] == (nodes if plugins else 0)
    assert manifest.parity.status in ("built, not run", "verified")
    assert len(manifest.proofs) >= (9 if plugins else 0)
