"""If, Loop and Scan with static shapes.

A condition known at conversion picks its branch; a computed one becomes `cond`. A loop whose trip count is known and
small is unrolled; one that only carries values becomes `while_loop`. Nothing else has a static shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from coremltools.converters.mil.mil import Builder as mb

from edgevision.targets.coreml.lowering.dtypes import materialise
from edgevision.targets.coreml.lowering.indexing import cut
from edgevision.targets.coreml.lowering.table import Array, Bound, Call, MilVar, lowers

__all__: list[str] = []

#: More copies of a body than this make a program too long to compile on a phone.
MAX_UNROLLED = 64


def _variable(call: Call, bound: Bound) -> MilVar:
    if bound is None:
        raise call.refuse("a value of its body is left out", "give every output of the body a value")
    return mb.identity(x=materialise(bound, call.what) if isinstance(bound, np.ndarray) else bound)


@lowers("If")
def _if(call: Call) -> Sequence[Bound]:
    then, otherwise = call.graph("then_branch"), call.graph("else_branch")
    known = call.known(0)
    if known is not None:
        return call.run(then if bool(known.reshape(())) else otherwise, [])

    def branch(graph: ir.Graph) -> Callable[[], tuple[MilVar, ...]]:
        return lambda: tuple(_variable(call, bound) for bound in call.run(graph, []))

    condition = call.var(0)
    condition = mb.squeeze(x=condition) if condition.rank else condition
    result = mb.cond(pred=condition, _true_fn=branch(then), _false_fn=branch(otherwise))
    return result if isinstance(result, (list, tuple)) else [result]


@lowers("Loop")
def _loop(call: Call) -> Sequence[Bound]:
    body = call.graph("body")
    carried = len(call.inputs) - 2
    trips = call.known(0)
    start = np.asarray(True) if not call.given(1) else call.known(1)
    scanned = len(body.outputs) - 1 - carried
    if trips is not None and start is not None and int(trips.reshape(())) <= MAX_UNROLLED:
        return _unrolled(call, body, carried, int(trips.reshape(())), bool(start.reshape(())))
    if scanned:
        raise call.refuse(
            f"it stacks outputs over a trip count that is unknown or above {MAX_UNROLLED}",
            "make the trip count a small constant, or rewrite the loop as tensor operations",
        )
    return _while(call, body, trips)


def _unrolled(call: Call, body: ir.Graph, carried: int, trips: int, going: bool) -> list[Bound]:
    state: list[Bound] = list(call.inputs[2:])
    scans: list[list[Bound]] = [[] for _ in range(len(body.outputs) - 1 - carried)]
    for trip in range(trips):
        if not going:
            break
        condition, *outputs = call.run(body, [np.asarray(trip, np.int64), np.asarray(going), *state])
        if not isinstance(condition, np.ndarray):
            raise call.refuse("its condition is computed inside the loop", "loop a constant number of times")
        state, going = outputs[:carried], bool(condition.reshape(()))
        for stack, value in zip(scans, outputs[carried:], strict=True):
            stack.append(value)
    return [*state, *(_stacked(call, stack) for stack in scans)]


def _stacked(call: Call, stack: Sequence[Bound]) -> MilVar:
    if not stack:
        raise call.refuse("it runs zero times and its stacked output is empty", "Core ML has no empty tensors")
    return mb.stack(values=[_variable(call, value) for value in stack], axis=0)


def _while(call: Call, body: ir.Graph, trips: Array | None) -> list[Bound]:
    count = mb.const(val=np.int32(min(int(trips.reshape(())), 2**31 - 1))) if trips is not None else None
    if count is None and call.given(0):
        count = call.var(0)
        count = mb.squeeze(x=count) if count.rank else count
    going = mb.squeeze(x=call.var(1)) if call.given(1) and call.var(1).rank else call.var(1) if call.given(1) else True
    start = [np.int32(0), mb.identity(x=going), *(_variable(call, value) for value in call.inputs[2:])]

    def condition(index: MilVar, alive: MilVar, *_: MilVar) -> MilVar:
        return alive if count is None else mb.logical_and(x=alive, y=mb.less(x=index, y=count))

    def step(index: MilVar, alive: MilVar, *state: MilVar) -> Any:
        ahead, *outputs = call.run(body, [index, alive, *state])
        return mb.add(x=index, y=np.int32(1)), *(_variable(call, value) for value in (ahead, *outputs))

    _, _, *results = mb.while_loop(_cond=condition, _body=step, loop_vars=start)
    return list(results)


@lowers("Scan")
def _scan(call: Call) -> list[Bound]:
    body, count = call.graph("body"), call.integer("num_scan_inputs", 1)
    states = len(call.inputs) - count
    sequences = [call.var(states + index) for index in range(count)]
    axes = [a % s.rank for a, s in zip(call.ints("scan_input_axes") or [0] * count, sequences, strict=True)]
    backwards = call.ints("scan_input_directions") or [0] * count
    length = sequences[0].shape[axes[0]]
    if length > MAX_UNROLLED:
        raise call.refuse(
            f"it runs {length} times, and more than {MAX_UNROLLED} copies of its body do not fit a phone",
            "keep the operator it was expanded from (EvSelectiveScan), or use a log-depth form",
        )
    state: list[Bound] = list(call.inputs[:states])
    scans: list[list[Bound]] = [[] for _ in range(len(body.outputs) - states)]
    for step in range(length):
        rows = []
        for sequence, axis, backward in zip(sequences, axes, backwards, strict=True):
            place = length - 1 - step if backward else step
            rows.append(mb.squeeze(x=cut(sequence, axis, place, place + 1), axes=[axis]))
        outputs = call.run(body, [*state, *rows])
        state = outputs[:states]
        for stack, value in zip(scans, outputs[states:], strict=True):
            stack.append(value)
    return [*state, *_placed(call, scans)]


def _placed(call: Call, scans: Sequence[list[Bound]]) -> list[Bound]:
    axes = call.ints("scan_output_axes") or [0] * len(scans)
    backwards = call.ints("scan_output_directions") or [0] * len(scans)
    results: list[Bound] = []
    for stack, axis, backward in zip(scans, axes, backwards, strict=True):
        values = [_variable(call, value) for value in (reversed(stack) if backward else stack)]
        results.append(mb.stack(values=values, axis=axis % (values[0].rank + 1)))
    return results
