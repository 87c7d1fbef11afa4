"""Two levels of ONNX Scan: L = M·r, and r + M + r wide steps instead of L narrow ones.

All M blocks take their r steps side by side from zero, which gives what each block adds; the carries H are a Scan over
the M blocks whose decay is the product of the block's decays; then all blocks take their steps again from H.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, Sequenced
from edgevision.ops.selective_scan.bodies.elements import decay, drive, output_map, rank, summed
from edgevision.ops.selective_scan.bodies.frame import Frame, build, problem
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
    pairs = [s for pair in zip(a, x, strict=True) for s in pair]
    fresh = [Sequenced(value=f.filled(value, run.groups, *inner), rank=n) for value in (0.0, 1.0) for run in p.runs]
    added_through = r.scan(fresh, pairs, _from_zero, [])

    carried = [
        Sequenced(value=r.op("Transpose", v, perm=[n - 1, *range(n - 1)]), rank=n, reverse=back)
        for added, through, back in zip(added_through[:runs], added_through[runs:], turned, strict=True)
        for v in (through, added)
    ]
    empty = [Sequenced(value=f.filled(0.0, run.groups, *inner[:-1]), rank=n - 1) for run in p.runs]
    starts = r.scan(empty, carried, _before, turned)[runs:]

    carries = [Sequenced(value=r.op("Transpose", v, perm=[*range(1, n), 0]), rank=n) for v in starts]
    hs = r.scan(carries, pairs, _after, turned)[runs:]
    h = r.concat([r.op("Transpose", v, perm=[*range(1, n + 1), 0]) for v in hs], axis=1)
    return summed(f, r.op("Mul", r.reshape(h, *[0] * (n - 1), length), output_map(f)))


def _advanced(s: Recorder, h: Sequence[ir.Value], now: Sequence[ir.Value]) -> list[ir.Value]:
    """One step of every run; `now` is a, x, a, x, ..."""
    return [s.op("Add", s.op("Mul", now[2 * i], state), now[2 * i + 1]) for i, state in enumerate(h)]


def _from_zero(s: Recorder, h: Sequence[ir.Value], now: Sequence[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
    """States are all h, what a block adds, then all p, what it lets through."""
    runs = len(h) // 2
    return _advanced(s, h[:runs], now) + [s.op("Mul", now[2 * i], h[runs + i]) for i in range(runs)], []


def _before(s: Recorder, h: Sequence[ir.Value], now: Sequence[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
    return _advanced(s, h, now), list(h)


def _after(s: Recorder, h: Sequence[ir.Value], now: Sequence[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
    after = _advanced(s, h, now)
    return after, after
