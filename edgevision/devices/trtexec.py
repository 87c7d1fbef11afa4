"""NVIDIA's `trtexec` on a device: its command lines, and what it writes.

Option names and JSON keys are those of trtexec of TensorRT 8.5 to 10; they were never run here on NVIDIA's own program.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.devices.engine_maker import ENGINE, GRAPH
from edgevision.errors import DeviceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

__all__ = [
    "FINISHED",
    "LAYERS",
    "OUTPUTS",
    "STARTING",
    "TIMES",
    "build_command",
    "read_layers",
    "read_outputs",
    "read_times",
    "time_command",
    "version_in",
]

#: Names in the device's work folder.
TIMES, OUTPUTS, LAYERS = "times.json", "outputs.json", "layers.json"
#: What it says before the first run and after the last one.
STARTING, FINISHED = "Starting inference", "Timing trace has"
#: Milliseconds that trtexec warms up for.
WARM_UP_MS = 2000
_BANNER = re.compile(r"\[TensorRT v(\d+)\]")


def version_in(lines: Iterable[str]) -> str | None:
    """TensorRT's version from the banner that every call prints: v8502 is 8.5.2, v100300 is 10.3.0."""
    for line in lines:
        found = _BANNER.search(line)
        if found:
            digits = found[1]
            major, rest = (digits[:-3], digits[-3:]) if len(digits) == 4 else (digits[:-4], digits[-4:])
            minor, patch = (rest[0], rest[1:]) if len(digits) == 4 else (rest[:2], rest[2:])
            return f"{int(major)}.{int(minor)}.{int(patch)}"
    return None


def build_command(trtexec: str, version: str, precision: str) -> list[str]:
    """Build the engine. The graph says every tensor's type; before TensorRT 10 trtexec only takes permissions."""
    words = [trtexec, f"--onnx={GRAPH}", f"--saveEngine={ENGINE}"]
    if int(version.split(".")[0]) >= 10:
        return [*words, "--stronglyTyped", "--skipInference"]
    allowed = {"fp16": ["--fp16"], "bf16": ["--bf16"], "int8": ["--int8"]}.get(precision, [])
    return [*words, *allowed, "--buildOnly"]


def time_command(
    trtexec: str, feeds: Sequence[str], runs: int, seconds: float = 0.0, *, layers: bool = False
) -> list[str]:
    """Time the engine on the bundle's own sample, input NAME from the file feed.N: `runs` times, and for `seconds`.

    `layers` adds a run of its own under TensorRT's profiler, after the one that is timed.
    """
    inputs = ",".join(f"{name}:feed.{number}" for number, name in enumerate(feeds))
    words = [trtexec, f"--loadEngine={ENGINE}", f"--loadInputs={inputs}", f"--warmUp={WARM_UP_MS}"]
    words += [f"--iterations={runs}", f"--duration={seconds:g}", "--avgRuns=1"]
    words += [f"--exportProfile={LAYERS}", "--separateProfileRun"] if layers else []
    return [*words, f"--exportTimes={TIMES}", f"--exportOutput={OUTPUTS}"]


def read_times(path: Path, device: str) -> tuple[list[float], list[float]]:
    """Milliseconds of each run: on the GPU alone, and with the copies to it and back.

    Raises:
        DeviceError: the file is not of trtexec's form.
    """
    rows = _rows(path, device)
    try:
        compute = [float(row["computeMs"]) for row in rows]
        return compute, [float(row["latencyMs"]) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise DeviceError(
            device, f"its trtexec writes times in another form ({error})", "see docs/devices.md"
        ) from error


def read_layers(path: Path, device: str) -> list[dict[str, Any]]:
    """One row a layer, the slowest first, with the keys of a profile's `per_op`: TensorRT fuses operators into layers.

    Raises:
        DeviceError: the file is not of trtexec's form.
    """
    head, *rows = _rows(path, device)
    try:
        means = {str(row["name"]): float(row["averageMs"]) for row in rows}
        n = int(head["count"])
    except (KeyError, TypeError, ValueError) as error:
        raise DeviceError(
            device, f"its trtexec writes layers in another form ({error})", "leave out --per-op"
        ) from error
    whole = sum(means.values()) or 1.0
    return [
        {"op": name, "count": 1, "ms": round(ms, 4), "interval": None, "n": n, "share": round(ms / whole, 4)}
        for name, ms in sorted(means.items(), key=lambda item: -item[1])
    ]


def read_outputs(path: Path, device: str) -> dict[str, Array]:
    """The last run's outputs by name; DeviceError when the file is not of trtexec's form."""
    import numpy as np

    try:
        return {
            row["name"]: np.asarray(row["values"], np.float64).reshape([int(d) for d in row["dimensions"].split("x")])
            for row in _rows(path, device)
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeviceError(
            device, f"its trtexec writes outputs in another form ({error})", "see docs/devices.md"
        ) from error


def _rows(path: Path, device: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DeviceError(device, f"{path.name} of its trtexec is cut short ({error})", "run it again") from error
    if not isinstance(rows, list) or not rows:
        raise DeviceError(device, f"{path.name} of its trtexec holds nothing", "run it again")
    return rows
