"""What can be read of the machine we run on before, during and after a measurement.

A sensor that is absent is None, never 0.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgevision.devices.alongside import alongside
from edgevision.devices.sampling import Recording, sampling_script

__all__ = ["changes_between", "machine_state", "sensors_read"]

_CPU = Path("/sys/devices/system/cpu")
_THERMAL = Path("/sys/class/thermal")


def machine_state() -> dict[str, Any]:
    """Governor, clocks (MHz), hottest zone (°C), load over one minute, free memory (MiB)."""
    import psutil

    return {
        "governor": _text(_CPU / "cpu0/cpufreq/scaling_governor"),
        "clock_mhz": _clocks(),
        "temperature_c": _hottest(),
        "load_1min": round(os.getloadavg()[0], 2),
        "free_memory_mib": psutil.virtual_memory().available // 2**20,
        "throttled": _throttled(),
    }


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Reasons not to believe a measurement, from the states around it; what is not known gives none."""
    reasons = []
    if before["governor"] != after["governor"]:
        reasons.append(f"the governor changed from {before['governor']} to {after['governor']}")
    if None not in (before["throttled"], after["throttled"]) and after["throttled"] > before["throttled"]:
        reasons.append(f"the processor throttled {after['throttled'] - before['throttled']} times for its heat")
    return tuple(reasons)


@contextmanager
def sensors_read(recording: Recording, seconds: float) -> Iterator[None]:
    """Read the sensors of this machine while the block runs, for at most `seconds`; none where there is no shell."""
    shell, pipe = shutil.which("sh"), subprocess.PIPE
    if shell is None:
        yield
        return
    with (
        subprocess.Popen([shell, "-c", sampling_script(seconds)], stdin=pipe, stdout=pipe, stderr=pipe) as process,
        alongside(process, recording.line),
    ):
        yield


def _clocks() -> list[float] | None:
    readings = [_number(p) for p in sorted(_CPU.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))]
    return [r / 1000 for r in readings if r is not None] or None


def _hottest() -> float | None:
    readings = [_number(p) for p in _THERMAL.glob("thermal_zone*/temp")]
    known = [r / 1000 for r in readings if r is not None]
    return max(known) if known else None


def _throttled() -> int | None:
    """Times the cores were throttled since boot, where the kernel counts it."""
    readings = [_number(p) for p in _CPU.glob("cpu[0-9]*/thermal_throttle/core_throttle_count")]
    known = [int(r) for r in readings if r is not None]
    return sum(known) if known else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip() or None
    except OSError:
        return None


def _number(path: Path) -> float | None:
    text = _text(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
