"""A recursive scan of radix 8, time first, for runtimes whose loops are slow and states too large for log_depth.

Steps are taken 8 at a time: within an octet one after the other, giving what it adds (h_i) and what it lets through
(p_i); the octets' own recurrence (p_7, h_7) is an eighth as long and is solved the same way; its result H, one octet
later, completes every step: h_i + p_i H. Two passes over the data where log_depth makes log2(L).
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder
from edgevision.ops.selective_scan.bodies.elements import decay, drive, output_map, rank, summed
from edgevision.ops.selective_scan.bodies.frame import Frame, build, problem
from edgevision.ops.selective_scan.bodies.softplus import native
from edgevision.ops.selective_scan.schema import NAME

__all__ = ["radix8"]

_RADIX = 8


def radix8(signature: Signature) -> ir.Function:
    """Body `radix8`; the length must be static."""
    p = problem(signature)
    if p.L is None:
        raise GraphError(NAME, "the radix-8 body needs a static length", "use the body `serial`")
    return build(p, p.overload("radix8", p.L), _recurrence, softplus=native)


def _recurrence(f: Frame) -> ir.Value:
    p, r, n = f.problem, f.r, rank(f)
    length = p.L or 1
    inner = [p.Dg] if p.N == 1 else [p.N, p.Dg]
    decays, drives = (r.split(t, p.sizes, 1) for t in (decay(f, f.dt), drive(f)))
    states = []
    for a, x, run in zip(decays, drives, p.runs, strict=True):
        flat = [r.reshape(r.op("Transpose", t, perm=[n - 1, *range(n - 1)]), length, -1) for t in (a, x)]
        h = r.reshape(_solve(r, flat[0], flat[1], length, run.reverse), length, -1, run.groups, *inner)
        states.append(r.op("Transpose", h, perm=[*range(1, n), 0]))
    return summed(f, r.op("Mul", r.concat(states, axis=1), output_map(f)))


def _solve(r: Recorder, a: ir.Value, x: ir.Value, length: int, reverse: bool) -> ir.Value:
    """States [length, F] of the recurrence with decays and drives of [length, F]."""
    if length == 1:
        return x
    if length <= _RADIX:
        steps = [r.split(t, [1] * length, 0) for t in (a, x)]
        return r.concat(_within(r, steps[0], steps[1], reverse), axis=0)
    octets = -(-length // _RADIX)
    missing = octets * _RADIX - length
    if missing:  # at the end for both directions: (1, 0) changes nothing, wherever it is read
        a = r.op("Pad", a, r.ints(0, 0, missing, 0), r.scalar(1.0))
        x = r.op("Pad", x, r.ints(0, 0, missing, 0), r.scalar(0.0))
    steps = [r.split(r.reshape(t, octets, _RADIX, -1), [1] * _RADIX, 1) for t in (a, x)]
    h, through = _within(r, steps[0], steps[1], reverse), _through(r, steps[0], reverse)
    end = 0 if reverse else _RADIX - 1
    ends = [r.reshape(t[end], octets, -1) for t in (through, h)]
    carry = _solve(r, ends[0], ends[1], octets, reverse)
    kept, pads = ((1, octets), (0, 0, 1, 0)) if reverse else ((0, octets - 1), (1, 0, 0, 0))
    before = r.op("Slice", carry, r.ints(kept[0]), r.ints(kept[1]), r.ints(0))
    before = r.reshape(r.op("Pad", before, r.ints(*pads), r.scalar(0.0)), octets, 1, -1)
    whole = [r.op("Add", own, r.op("Mul", passed, before)) for own, passed in zip(h, through, strict=True)]
    result = r.reshape(r.concat(whole, axis=1), octets * _RADIX, -1)
    return r.op("Slice", result, r.ints(0), r.ints(length), r.ints(0)) if missing else result


def _within(r: Recorder, a: Sequence[ir.Value], x: Sequence[ir.Value], reverse: bool) -> list[ir.Value]:
    """State after every step of the octets, each from a zero state; in the input's order."""
    turn = -1 if reverse else 1
    h: list[ir.Value] = []
    for decay_i, drive_i in zip(a[::turn], x[::turn], strict=True):
        h.append(r.op("Add", r.op("Mul", decay_i, h[-1]), drive_i) if h else drive_i)
    return h[::turn]


def _through(r: Recorder, a: Sequence[ir.Value], reverse: bool) -> list[ir.Value]:
    """What is left after every step of what entered the octet; in the input's order."""
    turn = -1 if reverse else 1
    left: list[ir.Value] = []
    for decay_i in a[::turn]:
        left.append(r.op("Mul", decay_i, left[-1]) if left else decay_i)
    return left[::turn]
