"""A profile with the efficiency of what it measured, where the device's peaks are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgevision.bundle import inside
from edgevision.efficiency.peaks import Peaks
from edgevision.errors import GraphError
from edgevision.manifest import Manifest

__all__ = ["with_efficiency"]


def with_efficiency(document: dict[str, Any], bundle: Path, manifest: Manifest, peaks: Peaks | None) -> dict[str, Any]:
    """`document` with the key `efficiency`: None without peaks, `{"why_not": …}` where a shape is unknown."""
    if peaks is None:
        return {**document, "efficiency": None}
    import onnx_ir as ir

    from edgevision.efficiency.waterline import efficiency_of

    model = ir.load(inside(bundle, manifest.graph.path))
    try:
        found = efficiency_of(model, peaks, document["latency_ms"]["p50"], document["per_op"] or ())
    except GraphError as error:
        return {**document, "efficiency": {"why_not": str(error)}}
    return {**document, "efficiency": found}
