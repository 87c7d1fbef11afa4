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


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_operator_of_mobilemamba_is_a_plugin_layer(precision: str, tmp_path: Path) -> None:
    options = ExportOptions(
        model="mobilemamba_t2", target="trt", precision=precision, out=tmp_path / "bundle", samples=1
    )
    manifest = export_bundle(options).manifest
    record = json.loads((tmp_path / "bundle" / "engine.json").read_text())
    assert sum(manifest.graph.custom_ops.values()) == 15
    assert record["plugin_layers"] == 15
    assert manifest.parity.status in ("built, not run", "verified")
    assert len(manifest.proofs) >= 9
