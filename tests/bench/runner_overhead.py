"""`python tests/bench/runner_overhead.py`: the runner's median over a bare C loop's, in alternating turns on one core.

A model of one small convolution takes tens of microseconds, so that an overhead shows; printing is outside the time.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from edgevision.devices.runner import runner_path, runtime_library, write_tensors

ROOT = Path(__file__).resolve().parents[2]
TURNS, RUNS = 15, 1000
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
            ratios = [turn(folder, runner, library) for _ in range(TURNS)]
            low, high = min(ratios), max(ratios)
            told = f"{statistics.median(ratios):.4f} ({low:.3f} to {high:.3f}, n = {TURNS})"
            sys.stdout.write(f"side {side}: runner / bare loop = {told}\n")


def turn(folder: Path, runner: Path, library: Path) -> float:
    """Median of the runner over that of the bare loop, one after the other."""
    pin = ["taskset", "-c", "0"]
    bare = [str(folder / "bare"), str(library), str(folder / "m.onnx"), str(folder / "f.bin"), str(RUNS)]
    ours = [str(runner), "--library", str(library), "--model", str(folder / "m.onnx"), "--feeds", str(folder / "f.bin")]
    ours += ["--outputs", str(folder / "o.bin"), "--runs", str(RUNS)]
    loop = float(subprocess.run([*pin, *bare], capture_output=True, text=True, check=True).stdout)
    lines = subprocess.run([*pin, *ours], capture_output=True, text=True, check=True).stdout.splitlines()
    runs = [event["ns"] for event in map(json.loads, lines) if event["event"] == "run"]
    return statistics.median(runs) / loop


if __name__ == "__main__":
    main()
