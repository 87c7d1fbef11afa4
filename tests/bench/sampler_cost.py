"""`python tests/bench/sampler_cost.py`: what reading the sensors takes, and what it does to the runs beside it.

Turns of the runner with the sampling script beside it and without, alternating, both on the first core: the worst case, as
on a device with one core. Mean and median of a turn's runs, as ratios with their 95 % interval over the turns.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from runner_overhead import model

from edgevision.devices.machine_state import sensors_read
from edgevision.devices.runner import runner_path, runtime_library, write_tensors
from edgevision.devices.sampling import INTERVAL, Recording
from edgevision.latency import summarize

TURNS, SECONDS, SIDE = 16, 1.5, 64


def main() -> None:
    """Print the cost of a reading and both ratios."""
    runner, library = runner_path(), runtime_library()
    if runner is None or library is None:
        sys.exit("the runner is not built (make plugins)")
    os.sched_setaffinity(0, {0})
    idle = Recording()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with sensors_read(idle, 60):
        idle.ran()
        time.sleep(20 * INTERVAL)
        idle.ran()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    count = sum(reading.source == "stat" for reading in idle.during())
    sys.stdout.write(f"{1e3 * worked / count:.2f} ms of processor time a reading, n = {count}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model(folder / "m.onnx", SIDE)
        write_tensors(folder / "f.bin", {"x": np.ones((1, 16, SIDE, SIDE), np.float32)})
        command = [str(runner), "--library", str(library), "--seconds", str(SECONDS)]
        for option, file in (("--model", "m.onnx"), ("--feeds", "f.bin"), ("--outputs", "o.bin")):
            command += [option, str(folder / file)]
        pairs = [[turn(command, sampled=s) for s in ((True, False) if i % 2 else (False, True))] for i in range(TURNS)]
    both = [pair[::-1] if i % 2 else pair for i, pair in enumerate(pairs)]
    for what, statistic in (("median", statistics.median), ("mean", statistics.fmean)):
        ratios = summarize([statistic(sampled) / statistic(alone) for alone, sampled in both])
        told = f"{ratios.p50:.4f} (95 % interval {ratios.interval[0]:.4f} to {ratios.interval[1]:.4f})"
        sys.stdout.write(f"{what} of the runs, sampled / alone = {told}, n = {TURNS} turns\n")


def turn(command: list[str], *, sampled: bool) -> list[int]:
    """Nanoseconds of the runs of one turn."""
    with sensors_read(Recording(), 60) if sampled else nullcontext():
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [event["ns"] for event in map(json.loads, said) if event["event"] == "run"]


if __name__ == "__main__":
    main()
