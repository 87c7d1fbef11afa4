"""Decay and drive of all steps first, then an ONNX Scan of two nodes: h = a h + x.

For short sequences of one state, where a step costs more in bookkeeping than in arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, Sequenced
from edgevision.ops.selective_scan.bodies.elements import contracted, decay, drive, rank
from edgevision.ops.selective_scan.bodies.frame import Frame, build, problem

__all__ = ["advance", "whole"]


def whole(signature: Signature) -> ir.Function:
    """Body `whole`."""
    p = problem(signature)
    return build(p, p.overload("whole"), _recurrence)


def advance(s: Recorder, h: Sequence[ir.Value], now: Sequence[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
    """One step of every run: h = a h + x, emitted too; `now` is a, x, a, x, ..."""
    after = [s.op("Add", s.op("Mul", now[2 * i], h[i]), now[2 * i + 1]) for i in range(len(h))]
    return after, after


def _recurrence(f: Frame) -> ir.Value:
    p, r, n = f.problem, f.r, rank(f)
    last_first = [n - 1, *range(n - 1)]
    parts = [r.split(t, p.sizes, 1) for t in (decay(f, f.dt), drive(f))]
    inputs = [
        Sequenced(value=r.op("Transpose", part[i], perm=last_first), rank=n, reverse=run.reverse)
        for i, run in enumerate(p.runs)
        for part in parts
    ]
    inner = [p.Dg] if p.N == 1 else [p.N, p.Dg]
    states = [Sequenced(value=f.zeros(run.groups, *inner), rank=n - 1) for run in p.runs]
    hs = r.scan(states, inputs, advance, [run.reverse for run in p.runs])[len(p.runs) :]
    h = r.concat([r.op("Transpose", t, perm=[*range(1, n), 0]) for t in hs], axis=1)
    return contracted(f, h)
