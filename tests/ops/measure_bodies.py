"""The table of docs/bodies.md, measured here: `python tests/ops/measure_bodies.py [rounds]` (minutes).

Bodies take turns within a round, on one thread; what is counted is the thread's own processor time, which other work
on the machine slows but does not inflate, and the least over the rounds is printed beside the median.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
import onnxruntime
from scan_cases import Variant, inputs_of
from single_node import feeds, model_of, session

from edgevision.ops.selective_scan import OPERATOR
from edgevision.passes.inline_bodies import count_nodes

ONE = Variant(softplus=True, D=True, bias=True)
BOTH = Variant(K=2, shared=True, reverse=(0, 1), softplus=True, D=True, bias=True)
#: What has the shape: model, variant, channels in all, states, length.
CASES = (
    ("MobileMamba T2", ONE, 448, 1, 144),
    ("T2", ONE, 768, 1, 36),
    ("T2", ONE, 896, 1, 9),
    ("S6", ONE, 640, 1, 196),
    ("S6", ONE, 1088, 1, 49),
    ("S6, B1", ONE, 1088, 1, 16),
    ("B1", ONE, 640, 1, 256),
    ("B1", ONE, 1024, 1, 64),
    ("B4 at 512", ONE, 640, 1, 1024),
    ("B4 at 512", ONE, 1024, 1, 256),
    ("both directions", BOTH, 640, 1, 196),
    ("MSVMamba, both directions", BOTH, 192, 16, 196),
    ("MSVMamba, both directions", BOTH, 384, 16, 3136),
)
FORMS = ("serial", "whole", "two_level", "log_depth", "radix8")
#: Above this state the loop-free bodies take seconds and gigabytes.
LARGE = 4_000_000


def row(variant: Variant, channels: int, N: int, L: int, rounds: int) -> dict[str, tuple[float, float, int]]:
    """Least and median milliseconds, and nodes, of each body."""
    inputs = inputs_of(variant, channels=channels // variant.K, N=N, L=L)
    forms = [f for f in FORMS if channels * N * L < LARGE or f not in ("log_depth", "radix8")]
    models = {form: model_of(OPERATOR, inputs, variant.attributes, form) for form in forms}
    sessions = {form: session(model) for form, model in models.items()}
    given = feeds(OPERATOR, inputs)
    times: dict[str, list[float]] = {form: [] for form in forms}
    calls = max(1, 300_000 // (channels * N * L))
    for turn in range(rounds + 1):
        for form, runner in sessions.items():
            start = time.thread_time()
            for _ in range(calls):
                runner.run(None, given)
            if turn:
                times[form].append((time.thread_time() - start) / calls * 1e3)
    return {f: (min(t), statistics.median(t), count_nodes(models[f])) for f, t in times.items()}


def main(rounds: int) -> None:
    say = sys.stdout.write
    say(f"onnxruntime {onnxruntime.__version__}, numpy {np.__version__}, {rounds} rounds\n\n")
    say(f"| shape of | D, N, L | {' | '.join(FORMS)} | portable |\n|---|---|{'---|' * (len(FORMS) + 1)}\n")
    for name, variant, channels, N, L in CASES:
        measured = row(variant, channels, N, L, rounds if channels * N * L < LARGE else 5)
        inputs = inputs_of(variant, channels=channels // variant.K, N=N, L=L)
        (chosen,) = (o for _, _, o in model_of(OPERATOR, inputs, variant.attributes).functions)
        best = min(least for least, _, _ in measured.values())
        cells = []
        for form in FORMS:
            if form not in measured:
                cells.append("-")
                continue
            least, median, _ = measured[form]
            text = f"{least:.3g} ({median:.3g})"
            cells.append(f"**{text}**" if least == best else text)
        portable = next(form for form in FORMS if chosen.startswith(form))
        say(f"| {name} | {channels}, {N}, {L} | {' | '.join(cells)} | {portable} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
