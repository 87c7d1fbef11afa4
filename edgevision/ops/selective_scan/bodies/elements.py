"""Decay a = exp(dt A) and drive x = dt u B of every step at once, and the contraction of the states with C.

With one state there is no state axis: everything is [Bt, K, Dg, L], and the contraction is a product. A sum over an
axis of size 1 is several times as slow in ONNX Runtime.
"""

from __future__ import annotations

import onnx_ir as ir

from edgevision.ops.selective_scan.bodies.frame import Frame

__all__ = ["decay", "drive", "output_map", "rank", "summed"]


def rank(f: Frame) -> int:
    """Rank of the elements: 4 with one state, 5 with more, [Bt, K, N, Dg, L]."""
    return 4 if f.problem.N == 1 else 5


def _rates(f: Frame) -> ir.Value:
    p, r = f.problem, f.r
    if p.N == 1:
        return r.reshape(f.A, p.K, p.Dg, 1)
    return r.op("Unsqueeze", r.op("Transpose", r.reshape(f.A, p.K, p.Dg, p.N), perm=[0, 2, 1]), r.ints(-1))


def _per_state(f: Frame, t: ir.Value, axis: int) -> ir.Value:
    return t if f.problem.N == 1 else f.r.op("Unsqueeze", t, f.r.ints(axis))


def decay(f: Frame, dt: ir.Value) -> ir.Value:
    """exp(dt A), [Bt, K, (N,) Dg, ...] for dt of [Bt, K, Dg, ...]."""
    return f.r.op("Exp", f.r.op("Mul", _per_state(f, dt, 2), _rates(f)))


def drive(f: Frame) -> ir.Value:
    """The drive dt u B, [Bt, K, (N,) Dg, L]."""
    return f.r.op("Mul", _per_state(f, f.r.op("Mul", f.dt, f.u), 2), _per_state(f, f.B, 3))


def output_map(f: Frame) -> ir.Value:
    """C as a factor of the states, [Bt, K, (N,) 1, L]."""
    return _per_state(f, f.C, 3)


def summed(f: Frame, y: ir.Value) -> ir.Value:
    """[Bt, K, Dg, L] of the products of states and C."""
    return y if f.problem.N == 1 else f.r.op("ReduceSum", y, f.r.ints(2), keepdims=0)
