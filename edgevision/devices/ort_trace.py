"""Where each node ran, and time per op type, from ONNX Runtime's own trace."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgevision.stages.samples import Array
    from edgevision.targets.target import Target

__all__ = ["Trace", "node_times", "read_trace", "trace"]

#: How events of a node's computation end.
_KERNEL = "_kernel_time"


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What one run consists of.

    Attributes:
        per_op: rows {op, count, ms, interval, n, share}, the slowest first: the mean of n runs, two standard errors around it.
        placement: nodes per execution provider.
    """

    per_op: Sequence[Mapping[str, Any]]
    placement: Mapping[str, int]


def trace(target: Target, path: Path, feed: Mapping[str, Array], runs: int) -> Trace:
    """Run under the profiler, once to warm up and `runs` times. `target` must be an `OnnxRuntime` with `profile_to`."""
    return read_trace(_recorded(target, path, feed, runs), runs)


def read_trace(file: Path, runs: int) -> Trace:
    """The file that ONNX Runtime's profiler left after one run to warm up and `runs` runs."""
    kernels = _kernels(file, runs)
    per_run: dict[str, list[float]] = defaultdict(lambda: [0.0] * runs)
    count = Counter(event["args"]["op_name"] for event in kernels)
    for index, (event, own) in enumerate(zip(kernels, _own_times(kernels), strict=True)):
        per_run[event["args"]["op_name"]][index * runs // len(kernels)] += own / 1e3
    means = {op: mean(times) for op, times in per_run.items()}
    whole = sum(means.values()) or 1.0
    rows = [
        {
            "op": op,
            "count": round(count[op] / runs),
            "ms": round(ms, 4),
            "interval": _interval(per_run[op]),
            "n": runs,
            "share": round(ms / whole, 4),
        }
        for op, ms in sorted(means.items(), key=lambda item: -item[1])
    ]
    nodes = {event["name"]: event["args"]["provider"] for event in kernels}
    return Trace(per_op=rows, placement=dict(Counter(nodes.values())))


def _interval(times: Sequence[float]) -> list[float] | None:
    """Two standard errors around the mean of a few runs; None for a single one."""
    if len(times) < 2:
        return None
    reach = 2 * stdev(times) / math.sqrt(len(times))
    return [round(mean(times) - reach, 4), round(mean(times) + reach, 4)]


def node_times(target: Target, path: Path, feed: Mapping[str, Array], runs: int) -> Mapping[str, float]:
    """Milliseconds of each node of the graph that ONNX Runtime made, by its name there: the median over `runs`."""
    kernels = _kernels(_recorded(target, path, feed, runs), runs)
    samples: dict[str, list[float]] = defaultdict(list)
    for event, own in zip(kernels, _own_times(kernels), strict=True):
        samples[event["name"].removesuffix(_KERNEL)].append(own / 1e3)
    return {name: median(values) for name, values in samples.items()}


def _recorded(target: Target, path: Path, feed: Mapping[str, Array], runs: int) -> Path:
    with target.load(path) as runner:
        session = runner.session  # type: ignore[attr-defined]
        for _ in range(runs + 1):
            runner(feed)
        return Path(session.end_profiling())


def _kernels(file: Path, runs: int) -> list[dict[str, Any]]:
    events = json.loads(file.read_text(encoding="utf-8"))
    return _timed_runs([e for e in events if e.get("cat") == "Node" and e["name"].endswith(_KERNEL)], runs)


def _timed_runs(kernels: list[dict[str, Any]], runs: int) -> list[dict[str, Any]]:
    """Events in the order of their start, without those of the first run; every run has as many."""
    kernels = sorted(kernels, key=lambda e: (e["ts"], -e["dur"]))
    return kernels[len(kernels) // (runs + 1) :]


def _own_times(kernels: Sequence[Mapping[str, Any]]) -> list[float]:
    """Microseconds of each event without the events inside it: a Scan's time holds that of its body's nodes."""
    own = [float(event["dur"]) for event in kernels]
    around: list[int] = []
    for index, event in enumerate(kernels):
        while around and event["ts"] >= kernels[around[-1]]["ts"] + kernels[around[-1]]["dur"]:
            around.pop()
        if around:
            own[around[-1]] -= event["dur"]
        around.append(index)
    return own
