"""Which techniques win back accuracy, and what they do to a float graph before it is calibrated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from edgevision.calibration.source import Source
from edgevision.quantize.equalize import equalize
from edgevision.quantize.migrate_scales import migrate_scales

__all__ = ["Recovery", "prepared"]


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """One switch per technique; the defaults are what helped the zoo (docs/quantization.md).

    Attributes:
        equalize: even out channels between linear operators.
        migrate_scales: even out what a layer norm writes.
        bias_correction: let biases take back the shift of the mean that rounding weights makes.
        adaround: round weights up or down as the layer's output wants it.
        ssm_aware: keep what computes a scan's steps, B and C in float.
    """

    equalize: bool = False
    migrate_scales: bool = False
    bias_correction: bool = False
    adaround: bool = False
    ssm_aware: bool = True


def prepared(
    model: ir.Model, recovery: Recovery, source: Source, limit: int | None, report: Callable[[str], None]
) -> ir.Model:
    """`model`, or a copy of it that computes the same in float and loses less in 8 bits."""
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
