"""Hillis and Steele's prefix scan, time last, for runtimes whose loops are slow: log2(L) levels of elementwise work.

After the level of stride s, (a, x) at t stand for the 2s steps that end at t:

    x_t <- a_t x_{t-s} + x_t,    a_t <- a_t a_{t-s}

Hillis & Steele, "Data Parallel Algorithms", CACM 29(12), 1986. Only decays are multiplied, so nothing overflows.
"""

from __future__ import annotations

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder
from edgevision.ops.selective_scan.bodies.elements import decay, drive, output_map, rank, summed
from edgevision.ops.selective_scan.bodies.frame import Frame, build, problem
from edgevision.ops.selective_scan.bodies.softplus import native
from edgevision.ops.selective_scan.schema import NAME

__all__ = ["log_depth"]


def log_depth(signature: Signature) -> ir.Function:
    """Body `log_depth`; the length must be static."""
    p = problem(signature)
    if p.L is None:
        raise GraphError(NAME, "the log-depth body needs a static length", "use the body `serial`")
    return build(p, p.overload("log_depth", p.L), _recurrence, softplus=native)


def _recurrence(f: Frame) -> ir.Value:
    p, r = f.problem, f.r
    length = p.L or 1
    decays, drives = (r.split(t, p.sizes, 1) for t in (decay(f, f.dt), drive(f)))
    states = []
    for a, x, run in zip(decays, drives, p.runs, strict=True):
        stride, last = 1, x
        while stride < length:
            last = r.op("Add", r.op("Mul", a, _shifted(r, last, stride, rank(f), run.reverse, 0.0)), last)
            if 2 * stride < length:
                a = r.op("Mul", a, _shifted(r, a, stride, rank(f), run.reverse, 1.0))
            stride *= 2
        states.append(last)
    return summed(f, r.op("Mul", r.concat(states, axis=1), output_map(f)))


def _shifted(r: Recorder, t: ir.Value, by: int, rank: int, reverse: bool, fill: float) -> ir.Value:
    """`t` moved `by` steps later in its own direction; `fill` comes in."""
    start, end, pads = (by, 2**31 - 1, (0, by)) if reverse else (0, -by, (by, 0))
    kept = r.op("Slice", t, r.ints(start), r.ints(end), r.ints(rank - 1))
    return r.op("Pad", kept, r.ints(*pads), r.scalar(fill), r.ints(rank - 1))
