"""One ONNX Scan over time that does everything: one function for every length, and the least memory.

The state is [Bt, G, N, Dg] with the channels last, so that a step's exp, products and the contraction over N (a MatMul)
run along them; the decay exists for one step at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, Sequenced
from edgevision.ops.selective_scan.bodies.frame import Frame, build, problem

__all__ = ["serial"]


def serial(signature: Signature) -> ir.Function:
    """Body `serial`."""
    p = problem(signature)
    return build(p, p.overload("serial"), _recurrence)


def _recurrence(f: Frame) -> ir.Value:
    p, r = f.problem, f.r
    rates = r.op("Transpose", r.reshape(f.A, p.K, p.Dg, p.N), perm=[0, 2, 1])
    du = r.op("Mul", f.dt, f.u)
    A = r.split(rates, p.sizes, 0)
    parts = [r.split(t, p.sizes, 1) for t in (f.dt, du, f.B, f.C)]
    states, inputs = [], []
    for i, run in enumerate(p.runs):
        states.append(Sequenced(value=f.filled(0.0, run.groups, p.N, p.Dg), rank=4))
        for t, axis in zip((part[i] for part in parts), (3, 3, 4, 3), strict=True):
            first = r.op("Unsqueeze", r.op("Transpose", t, perm=[3, 0, 1, 2]), r.ints(axis))
            inputs.append(Sequenced(value=first, rank=5, reverse=run.reverse))

    def step(s: Recorder, h: Sequence[ir.Value], now: Sequence[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
        after, y = [], []
        for i in range(len(p.runs)):
            dt, du, B, C = now[4 * i : 4 * i + 4]
            decay = s.op("Exp", s.op("Mul", dt, A[i]))
            after.append(s.op("Add", s.op("Mul", decay, h[i]), s.op("Mul", du, B)))
            y.append(s.op("MatMul", C, after[i]))
        return after, y

    results = r.scan(states, inputs, step, [run.reverse for run in p.runs])
    ys = [r.op("Transpose", r.op("Squeeze", y, r.ints(3)), perm=[1, 2, 3, 0]) for y in results[len(p.runs) :]]
    return r.concat(ys, axis=1)
