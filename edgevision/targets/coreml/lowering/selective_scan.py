"""EvSelectiveScan in parallel form: h_t = a_t h_{t-1} + x_t with a = exp(dt A), x = dt B u, y = sum_n C h + D u.

Everything is four axes, [group, channel, state, L], with static shapes. A decay over several steps is the exponential
of the sum of their dt A, never the product of their exponentials: in fp16 each factor is off by up to 2e-4, and a
product of dozens of them by dozens of times that. Sums are over windows; they are not subtracted from one another.

- A state of up to `LARGE` elements: Hillis and Steele. Level s = 1, 2, 4, ... < L: x += exp(r) shift(x, s),
  r += shift(r, s), with r = dt A at first; shifts bring in 0.
- A larger one: radix 8, which reads memory two and a half times rather than log2(L) times. Rows of 8 steps are
  composed in turn, the last of each row recurses, and what it carries in is added: out_i = h_i + exp(r_i) H with r_i
  the rates summed over the row up to i.

A group that scans from the end shifts, or composes, the other way: no flip is made.
"""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import Any

import numpy as np
from coremltools.converters.mil.mil import Builder as mb

from edgevision.targets.coreml.lowering.dtypes import like
from edgevision.targets.coreml.lowering.indexing import cut
from edgevision.targets.coreml.lowering.table import Call, MilVar, lowers

__all__: list[str] = []

#: State elements from which traffic counts for more than the number of operations.
LARGE = 1 << 20
_RADIX = 8
_U, _DELTA, _A, _B, _C, _D, _BIAS, _Z = range(8)


@lowers("edgevision::EvSelectiveScan")
def _selective_scan(call: Call) -> MilVar:
    groups = call.var(_B).shape[1]
    reverse = call.ints("reverse") or [0]
    directions = reverse if len(reverse) == groups else reverse * groups
    delta = _time_steps(call)
    parts, first = [], 0
    for backward, run in groupby(directions):
        last = first + len(list(run))
        parts.append(_run(call, delta, first, last, groups, bool(backward)))
        first = last
    y = parts[0] if len(parts) == 1 else mb.concat(values=parts, axis=1)
    return mb.mul(x=y, y=mb.silu(x=call.var(_Z))) if call.given(_Z) else y


def _time_steps(call: Call) -> MilVar:
    delta = call.var(_DELTA)
    if call.given(_BIAS):
        delta = mb.add(x=delta, y=mb.reshape(x=call.var(_BIAS), shape=[1, -1, 1]))
    return mb.softplus(x=delta) if call.integer("delta_softplus", 0) else delta


def _channels(x: MilVar, first: int, last: int) -> MilVar:
    return x if (first, last) == (0, x.shape[1]) else cut(x, 1, first, last)


def _run(call: Call, delta: MilVar, first: int, last: int, groups: int, backward: bool) -> MilVar:
    """Groups `first` to `last`, which scan the same way; [Bt, channels of these groups, L]."""
    u = call.var(_U)
    batch, _, length = delta.shape
    width = delta.shape[1] // groups
    count, low, high = last - first, first * width, last * width
    folded = [batch * count, width, 1, length]
    dt = mb.reshape(x=_channels(delta, low, high), shape=folded)
    u = _inputs(u, batch, count, width, (low, high), folded)
    matrix = _states(call, batch, low, high, width)
    size = call.var(_A).shape[1]
    b, c = (
        mb.reshape(x=_channels(call.var(index), first, last), shape=[batch * count, 1, size, length])
        for index in (_B, _C)
    )
    rate = mb.mul(x=dt, y=matrix)
    x = mb.mul(x=mb.mul(x=dt, y=u), y=b)
    h = _scanned(rate, x, backward)
    y = mb.mul(x=h, y=c)
    y = y if size == 1 else mb.reduce_sum(x=y, axes=[2], keep_dims=True)
    if call.given(_D):
        y = mb.add(x=y, y=mb.mul(x=u, y=_skip(call, batch, low, high, width)))
    return mb.reshape(x=y, shape=[batch, count * width, length])


def _inputs(u: MilVar, batch: int, count: int, width: int, span: tuple[int, int], folded: list[int]) -> MilVar:
    """Inputs of these groups as [batch x groups, width, 1, L]; shared by all groups when it has one group's channels."""
    if u.shape[1] == width:
        shared = mb.reshape(x=u, shape=[batch, width, 1, u.shape[2]])
        if batch == 1 or count == 1:
            return shared  # broadcasts over the groups
        repeated = mb.tile(x=mb.reshape(x=u, shape=[batch, 1, width, u.shape[2]]), reps=[1, count, 1, 1])
        return mb.reshape(x=repeated, shape=folded)
    return mb.reshape(x=_channels(u, *span), shape=folded)


def _per_channel(value: Any, batch: int, width: int, columns: int) -> Any:
    """A parameter of [channels, columns] as [batch x groups, width, columns, 1]; constants stay constants."""
    if isinstance(value, np.ndarray):
        return np.tile(value.reshape(-1, width, columns, 1), (batch, 1, 1, 1))
    shaped = mb.reshape(x=value, shape=[value.shape[0] // width, width, columns, 1])
    return mb.tile(x=shaped, reps=[batch, 1, 1, 1]) if batch > 1 else shaped


def _states(call: Call, batch: int, low: int, high: int, width: int) -> Any:
    known = call.known(_A)
    value = known[low:high] if known is not None else cut(call.var(_A), 0, low, high)
    return _per_channel(value, batch, width, call.var(_A).shape[1])


def _skip(call: Call, batch: int, low: int, high: int, width: int) -> Any:
    known = call.known(_D)
    if known is not None:
        return _per_channel(known[low:high], batch, width, 1)
    column = mb.reshape(x=cut(call.var(_D), 0, low, high), shape=[high - low, 1])
    return _per_channel(column, batch, width, 1)


def _scanned(rate: MilVar, x: MilVar, backward: bool) -> MilVar:
    """H of h_t = exp(rate_t) h_{t-1} + x_t, [G, D, N, L]."""
    elements = int(np.prod(x.shape))
    return _hillis_steele(rate, x, backward) if elements <= LARGE else _radix(rate, x, backward)


def _shifted(x: MilVar, axis: int, amount: int, backward: bool) -> MilVar:
    """`x` moved `amount` steps later in its scanning direction, zeros entering."""
    size = x.shape[axis]
    kept = cut(x, axis, amount, size) if backward else cut(x, axis, 0, size - amount)
    pads = [0] * (2 * x.rank)
    pads[2 * axis + int(backward)] = amount
    return mb.pad(x=kept, pad=pads, mode="constant", constant_val=like(x, 0.0))


def _decayed(rate: MilVar, h: MilVar, x: MilVar) -> MilVar:
    return mb.add(x=mb.mul(x=mb.exp(x=rate), y=h), y=x)


def _hillis_steele(rate: MilVar, x: MilVar, backward: bool) -> MilVar:
    length, step = x.shape[3], 1
    while step < length:
        x = _decayed(rate, _shifted(x, 3, step, backward), x)
        if 2 * step < length:
            rate = mb.add(x=rate, y=_shifted(rate, 3, step, backward))
        step *= 2
    return x


def _radix(rate: MilVar, x: MilVar, backward: bool) -> MilVar:
    """[G, D, N, L] with time moved to the front, [L, 1, 1, F], for the recursion."""
    shape = list(x.shape)
    length, rest = shape[3], int(np.prod(shape[:3]))
    first, second = (mb.reshape(x=mb.transpose(x=t, perm=[3, 0, 1, 2]), shape=[length, 1, 1, rest]) for t in (rate, x))
    h = _compose(first, second, backward)
    return mb.transpose(x=mb.reshape(x=h, shape=[length, *shape[:3]]), perm=[1, 2, 3, 0])


def _compose(rate: MilVar, x: MilVar, backward: bool) -> MilVar:
    """The scan of [L, 1, 1, F] over its first axis."""
    length, rest = x.shape[0], x.shape[3]
    if length <= _RADIX:
        return mb.concat(values=_serial(_steps(rate, length, 0), _steps(x, length, 0), backward)[0], axis=0)
    rows = -(-length // _RADIX)
    short = rows * _RADIX - length
    # Steps of rate 0 and input 0 at the end of time, in either direction, leave every real step as it is.
    rate, x = (mb.reshape(x=_lengthened(t, short), shape=[rows, _RADIX, 1, rest]) for t in (rate, x))
    states, rates = _serial(_steps(rate, _RADIX, 1), _steps(x, _RADIX, 1), backward)
    exit_place = 0 if backward else _RADIX - 1
    carried = _compose(rates[exit_place], states[exit_place], backward)
    entering = _shifted(carried, 0, 1, backward)
    joined = [_decayed(r, entering, h) for h, r in zip(states, rates, strict=True)]
    whole = mb.reshape(x=mb.concat(values=joined, axis=1), shape=[rows * _RADIX, 1, 1, rest])
    return cut(whole, 0, 0, length) if short else whole


def _lengthened(t: MilVar, amount: int) -> MilVar:
    if not amount:
        return t
    return mb.pad(x=t, pad=[0, amount, 0, 0, 0, 0, 0, 0], mode="constant", constant_val=like(t, 0.0))


def _steps(t: MilVar, count: int, axis: int) -> list[MilVar]:
    return [t] if count == 1 else list(mb.split(x=t, num_splits=count, axis=axis))


def _serial(rate: list[MilVar], x: list[MilVar], backward: bool) -> tuple[list[MilVar], list[MilVar]]:
    """States of steps taken one after the other, and the rates summed up to each, in the order of time."""
    places = list(range(len(x)))[:: -1 if backward else 1]
    states, sums = {places[0]: x[places[0]]}, {places[0]: rate[places[0]]}
    for before, here in pairwise(places):
        states[here] = _decayed(rate[here], states[before], x[here])
        sums[here] = mb.add(x=sums[before], y=rate[here])
    return [states[place] for place in range(len(x))], [sums[place] for place in range(len(x))]
