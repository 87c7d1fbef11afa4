"""The efficiency of a bundle on a device whose peaks are known, as a profile has it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.bundle import inside
from edgevision.errors import GraphError

if TYPE_CHECKING:
    from edgevision.devices.ort_trace import Trace
    from edgevision.efficiency.peaks import Peaks
    from edgevision.manifest import Manifest

__all__ = ["analyse"]


def analyse(
    bundle: Path, manifest: Manifest, peaks: Peaks | None, latency_ms: float, traced: Trace | None
) -> dict[str, Any] | None:
    """The document of `efficiency_of`; None without peaks, `{"why_not": …}` where a shape is unknown."""
    if peaks is None:
        return None
    import onnx_ir as ir

    from edgevision.efficiency.waterline import efficiency_of

    model = ir.load(inside(bundle, manifest.graph.path))
    try:
        return efficiency_of(model, peaks, latency_ms, traced.per_op if traced else ())
    except GraphError as error:
        return {"why_not": str(error)}
