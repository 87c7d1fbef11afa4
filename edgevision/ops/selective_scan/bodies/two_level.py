"""Two levels of ONNX Scan: L = M·r, and r + M + r wide steps instead of L narrow ones.

All M blocks take their r steps side by side from zero, which gives what each block adds; the carries H are a Scan over
the M blocks whose decay is the block's whole one, exp(A·sum dt); then all blocks take their steps again from H.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, Sequenced
from edgevision.ops.selective_scan.bodies.elements import contracted, decay, drive, rank
from edgevision.ops.selective_scan.bodies.frame import Frame, build, problem
from edgevision.ops.selective_scan.bodies.whole import advance
from edgevision.ops.selective_scan.schema import NAME

__all__ = ["block", "two_level"]


def block(L: int) -> int:
    """Steps within a block: the divisor of L nearest to 8 for L up to 256, to 16 for more; 1 when L is prime."""
    wanted = 8 if L <= 256 else 16
    return min((d for d in range(1, 4 * wanted) if L % d == 0), key=lambda d: abs(d - wanted))


def two_level(signature: Signature) -> ir.Function:
    """Body `two_level`; the length must be static."""
    p = problem(signature)
    if p.L is None:
        raise GraphError(NAME, "the two-level body needs a static length", "use the body `serial`")
    return build(p, p.overload("two_level", p.L), _recurrence)


def _recurrence(f: Frame) -> ir.Value:
    p, r, n = f.problem, f.r, rank(f)
    runs, turned = len(p.runs), [run.reverse for run in p.runs]
    length = p.L or 1
    steps = block(length)
    blocks = length // steps
    inner = [p.Dg, blocks] if p.N == 1 else [p.N, p.Dg, blocks]

    def sequenced(t: ir.Value, rank: int) -> list[Sequenced]:
        first = [rank - 1, *range(rank - 1)]
        parts = [r.op("Transpose", part, perm=first) for part in r.split(t, p.sizes, 1)]
        return [Sequenced(value=v, rank=rank, reverse=back) for v, back in zip(parts, turned, strict=True)]

    a, x = (sequenced(r.reshape(t, *[0] * (n - 1), blocks, steps), n + 1) for t in (decay(f, f.dt), drive(f)))
    elements = [s for pair in zip(a, x, strict=True) for s in pair]
    zeros = [Sequenced(value=f.zeros(run.groups, *inner), rank=n) for run in p.runs]
    added = r.scan(zeros, elements, _silent, [])

    elapsed = r.op("ReduceSum", r.reshape(f.dt, 0, 0, 0, blocks, steps), r.ints(-1), keepdims=0)
    whole = sequenced(decay(f, elapsed), n)
    carried = [
        s
        for w, v, back in zip(whole, added, turned, strict=True)
        for s in (w, Sequenced(value=r.op("Transpose", v, perm=[n - 1, *range(n - 1)]), rank=n, reverse=back))
    ]
    empty = [Sequenced(value=f.zeros(run.groups, *inner[:-1]), rank=n - 1) for run in p.runs]
    starts = r.scan(empty, carried, _before, turned)[runs:]

    last = [*range(1, n), 0]
    carries = [Sequenced(value=r.op("Transpose", v, perm=last), rank=n) for v in starts]
    hs = r.scan(carries, elements, advance, turned)[runs:]
    h = r.concat([r.op("Transpose", v, perm=[*range(1, n + 1), 0]) for v in hs], axis=1)
    return contracted(f, r.reshape(h, *[0] * (n - 1), length))


def _silent(s: Recorder, h: Sequence[ir.Value], now: Sequence[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
    return advance(s, h, now)[0], []


def _before(s: Recorder, h: Sequence[ir.Value], now: Sequence[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
    return advance(s, h, now)[0], list(h)
