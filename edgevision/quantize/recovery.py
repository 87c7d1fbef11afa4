"""Which techniques win back accuracy that rounding takes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Recovery"]


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
    migrate_scales: bool = True
    bias_correction: bool = False
    adaround: bool = True
    ssm_aware: bool = True
