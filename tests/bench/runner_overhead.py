"""`python tests/bench/runner_overhead.py`: the runner's runs over a bare C loop's, on one core.

A model of one small convolution takes tens of microseconds, so that an overhead shows; printing is outside the time.
Each turn is a process of either, one right after the other and each first every other time: a process keeps the place its
memory was given, and that alone moves such a model by several percent, so that many short turns say more than a few long
ones. What is told of the turns' ratios is their median, with its distribution-free interval (95 %): of the turns' medians,
and of their first quartiles, which what else happens on the machine touches least.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from edgevision.devices.runner import runner_path, runtime_library, write_tensors
from edgevision.latency import summarize

ROOT = Path(__file__).resolve().parents[2]
TURNS, RUNS = 60, 400
SIDES = (16, 32, 64)


def model(path: Path, side: int) -> None:
    """One 3x3 convolution, 16 to 16 channels."""
    weight = np.random.default_rng(0).standard_normal((16, 16, 3, 3)).astype(np.float32)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, side, side])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16, side - 2, side - 2])
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])], "g", [x], [y], [numpy_helper.from_array(weight, "w")]
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def main() -> None:
    """Print the ratio for each size."""
    runner, library = runner_path(), runtime_library()
    if runner is None or library is None:
        sys.exit("the runner is not built (make plugins)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = [
            ROOT / "tests/bench/bare_loop.cc",
            *(ROOT / "plugins/runner" / f for f in ("tensors.cc", "options.cc")),
        ]
        includes = [f"-I{ROOT / 'plugins/runner'}", f"-I{ROOT / 'build/ort-headers/include'}"]
        command = ["g++", "-O2", "-w", "-std=c++17", *includes, *map(str, sources), "-o", str(folder / "bare"), "-ldl"]
        subprocess.run(command, check=True)
        for side in SIDES:
            model(folder / "m.onnx", side)
            write_tensors(folder / "f.bin", {"x": np.ones((1, 16, side, side), np.float32)})
            turns = [turn(folder, runner, library, runner_first=number % 2 == 0) for number in range(TURNS)]
            for what, cut in (("medians", 1), ("first quartiles", 0)):
                ratios = summarize([quartile(ours, cut) / quartile(bare, cut) for ours, bare in turns])
                told = f"{ratios.p50:.4f} (95 % interval {ratios.interval[0]:.4f} to {ratios.interval[1]:.4f})"
                sys.stdout.write(f"side {side}, {what}: runner / bare loop = {told}, n = {TURNS} turns\n")
            sys.stdout.write(
                f"side {side}: bare loop {statistics.median(quartile(bare, 1) for _, bare in turns):.0f} ns\n"
            )
            sys.stdout.flush()


def turn(folder: Path, runner: Path, library: Path, *, runner_first: bool) -> tuple[list[int], list[int]]:
    """Nanoseconds of the runner's runs and of the bare loop's, one process after the other."""
    files = [str(folder / name) for name in ("m.onnx", "f.bin")]
    ours = [str(runner), "--library", str(library), "--model", files[0], "--feeds", files[1]]
    ours += ["--outputs", str(folder / "o.bin"), "--runs", str(RUNS)]
    both = {True: ours, False: [str(folder / "bare"), str(library), *files, str(RUNS)]}
    said = {is_ours: lines(both[is_ours]) for is_ours in (runner_first, not runner_first)}
    events = [json.loads(line) for line in said[True]]
    return [event["ns"] for event in events if event["event"] == "run"], [int(line) for line in said[False]]


def lines(command: Sequence[str]) -> list[str]:
    """What a program says, on the first core."""
    return subprocess.run(
        ["taskset", "-c", "0", *command], capture_output=True, text=True, check=True
    ).stdout.splitlines()


def quartile(runs: Sequence[int], cut: int) -> float:
    return statistics.quantiles(runs, n=4)[cut]


if __name__ == "__main__":
    main()
