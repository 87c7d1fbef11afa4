"""What is done to a float graph before it is calibrated: it computes the same, and loses less in 8 bits."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from edgevision.calibration.source import Source
from edgevision.quantize.equalize import equalize
from edgevision.quantize.migrate_scales import migrate_scales
from edgevision.quantize.recovery import Recovery

__all__ = ["prepared"]


def prepared(
    model: ir.Model, recovery: Recovery, source: Source, limit: int | None, report: Callable[[str], None]
) -> ir.Model:
    """`model` itself where neither technique is asked for, else a changed copy."""
    if not (recovery.equalize or recovery.migrate_scales):
        return model
    copy = model.clone()
    if recovery.equalize:
        result = equalize(copy)
        report(f"equalize: {len(result.applied)} pairs, {len(result.declined)} declined")
    if recovery.migrate_scales:
        result = migrate_scales(copy, source, limit)
        report(f"migrate scales: {len(result.applied)} norms, {len(result.declined)} declined")
    return copy
