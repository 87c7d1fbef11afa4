"""softplus(x) = max(x, 0) + log(1 + e), e = exp(-|x|), kept exact where it is small.

w = fl(1 + e) loses the low bits of e; e - (w - 1) is exactly what was lost, and adding it to log(w) restores the
relative accuracy (2.9e-7 measured, as good as the operator's). In ONNX Runtime these ten vectorised nodes take half
the time of Softplus, which calls the scalar exp and log1p. Runtimes that fuse elementwise chains take the operator.
"""

from __future__ import annotations

import onnx_ir as ir

from edgevision.ops.recorder import Recorder

__all__ = ["compensated", "native"]


def compensated(r: Recorder, x: ir.Value) -> ir.Value:
    """Softplus from Exp and Log."""
    one = r.scalar(1.0)
    e = r.op("Exp", r.op("Neg", r.op("Abs", x)))
    w = r.op("Add", e, one)
    lost = r.op("Sub", e, r.op("Sub", w, one))
    return r.op("Add", r.op("Relu", x), r.op("Add", r.op("Log", w), lost))


def native(r: Recorder, x: ir.Value) -> ir.Value:
    """Softplus as the operator."""
    return r.op("Softplus", x)
