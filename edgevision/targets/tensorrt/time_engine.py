"""The worker that times an engine where it was built: the lines of the C++ runner (plugins/runner/main.cc), from Python.

Run as `python -m edgevision.targets.tensorrt.time_engine request.json`. An engine that holds our plugins needs their
creators, which are Python. A run's `ns` is the GPU's own time, `with_copies_ns` holds the copies to it and back too.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.devices.runner import read_tensors, write_tensors
from edgevision.latency import warmed_up
from edgevision.targets.tensorrt.runner import EngineRunner, Stages
from edgevision.targets.tensorrt.worker import Reporter, serve

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

__all__ = ["measure"]

#: Warming up ends here even when the runs have not settled.
LONGEST_WARMUP_SECONDS = 10.0


def measure(
    runner: Any, feeds: Mapping[str, Array], runs: int, seconds: float, tell: Callable[..., None]
) -> list[Array]:
    """Run until warm, then at least `runs` times and for `seconds`; the last run's outputs.

    Args:
        runner: called with the feeds, it has `stages` of its last run.
        tell: takes an event's name and its fields.
    """

    def once(event: str) -> float:
        runner(feeds)
        stages: Stages = runner.stages
        whole = stages.copy_in + stages.compute + stages.copy_out
        tell(event, ns=round(stages.compute * 1e6), with_copies_ns=round(whole * 1e6))
        return stages.compute

    warm: list[float] = []
    end = time.perf_counter() + LONGEST_WARMUP_SECONDS
    while not warmed_up(warm) and time.perf_counter() < end:
        warm.append(once("warm"))
    end = time.perf_counter() + seconds
    count = 0
    while count < runs or time.perf_counter() < end:
        once("run")
        count += 1
    tell("end", warm=warmed_up(warm), peak_kb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    outputs: list[Array] = runner(feeds)
    return outputs


def _work(request: dict[str, Any], report: Reporter) -> dict[str, Any]:
    report.step("open the engine")
    arrays = read_tensors(Path(request["feeds"]))
    feeds = dict(zip(request["inputs"], arrays, strict=True))
    started = time.perf_counter_ns()
    with EngineRunner(Path(request["engine"])) as runner:
        loaded = time.perf_counter_ns()
        runner(feeds)
        report.tell("loaded", load_ns=loaded - started, first_ns=time.perf_counter_ns() - started)
        report.step("time it")
        outputs = measure(runner, feeds, request["runs"], request["seconds"], report.tell)
        names = [info.name for info in runner.outputs]
    write_tensors(Path(request["outputs"]), dict(zip(names, outputs, strict=True)))
    return {"outputs": names}


if __name__ == "__main__":
    sys.exit(serve(_work))
