"""Decay and drive of all steps first, then an ONNX Scan of two nodes: h = a h + x.

For short sequences of one state, where a step costs more in bookkeeping than in arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, Sequenced
from edgevision.ops.selective_scan.bodies.elements import decay, drive, output_map, rank, summed
from edgevision.ops.selective_scan.bodies.frame import Frame, build, problem

__all__ = ["whole"]


def whole(signature: Signature) -> ir.Function:
    """Body `whole`."""
    p = problem(signature)
    return build(p, p.overload("whole"), _recurrence)


def _advance(s: Recorder, h: Sequence[ir.Value], now: Sequence[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
    """One step of every run, h = a h + x, emitting h C; `now` is a, x, C, a, x, C, ..."""
    after = [s.op("Add", s.op("Mul", now[3 * i], h[i]), now[3 * i + 1]) for i in range(len(h))]
    return after, [s.op("Mul", value, now[3 * i + 2]) for i, value in enumerate(after)]


def _recurrence(f: Frame) -> ir.Value:
    p, r, n = f.problem, f.r, rank(f)
    last_first = [n - 1, *range(n - 1)]
    parts = [r.split(t, p.sizes, 1) for t in (decay(f, f.dt), drive(f), output_map(f))]
    inputs = [
        Sequenced(value=r.op("Transpose", part[i], perm=last_first), rank=n, reverse=run.reverse)
        for i, run in enumerate(p.runs)
        for part in parts
    ]
    inner = [p.Dg] if p.N == 1 else [p.N, p.Dg]
    states = [Sequenced(value=f.filled(0.0, run.groups, *inner), rank=n - 1) for run in p.runs]
    ys = r.scan(states, inputs, _advance, [run.reverse for run in p.runs])[len(p.runs) :]
    return summed(f, r.concat([r.op("Transpose", t, perm=[*range(1, n), 0]) for t in ys], axis=1))
