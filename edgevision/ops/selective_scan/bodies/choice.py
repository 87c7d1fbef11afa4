"""Which body a portable model carries: the fastest in ONNX Runtime for the size, as measured in docs/bodies.md.

More than one state: `serial`, whose step is then worth its bookkeeping. One state: `serial` for a handful of steps,
`whole` up to 64 and for every length that is dynamic or has no divisor to block by, `two_level` beyond.
"""

from __future__ import annotations

import onnx_ir as ir

from edgevision.ops.operator import Signature
from edgevision.ops.selective_scan.bodies.frame import problem
from edgevision.ops.selective_scan.bodies.serial import serial
from edgevision.ops.selective_scan.bodies.two_level import block, two_level
from edgevision.ops.selective_scan.bodies.whole import whole

__all__ = ["canonical"]

_FEW_STEPS = 16
_MANY_STEPS = 64
#: A block of fewer steps leaves the carries nearly as long as the sequence.
_SHORTEST_BLOCK = 4


def canonical(signature: Signature) -> ir.Function:
    """The body of a portable model; symbolic batch and length are fine."""
    p = problem(signature)
    if p.N > 1 or (p.L is not None and p.L * len(p.runs) <= _FEW_STEPS):
        return serial(signature)
    if p.L is not None and p.L > _MANY_STEPS and block(p.L) >= _SHORTEST_BLOCK:
        return two_level(signature)
    return whole(signature)
