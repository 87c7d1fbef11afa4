"""What was sensed during the runs: power of each rail, energy of an inference, temperatures, clocks, throttling.

Energy is mean power times mean latency, of the whole board as far as its rails reach, what it draws when idle included.
Which rails add up to the board depends on it; where that is not known there is no energy, and `power` in devices.toml can
name them. Sources: that VDD_IN and POM_5V_IN are the board's whole input, and that a Xavier's rails are added, is NVIDIA's
word on its forum as jetson_stats follows it (its issue 51, `total_power`); AGX Orin's rails are named in Linux's
tegra234-p3701.dtsi, and that VDDQ_VDD2_1V8AO is fed by VIN_SYS_5V0, so that it is not added once more, is NVIDIA's guide
as its users quote it; the guide was not at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import mean, stdev
from typing import Any

from edgevision.devices.contention import contention
from edgevision.devices.sampling import Reading, Recording

__all__ = ["reasons_during", "sensed"]

#: Fewer readings than this say too little.
FEWEST = 3
#: Rails that add up to the board, the first set that is there whole: one at the input (TX2, Xavier NX, Orin NX and Nano;
#: Nano), or those that share it (AGX Orin, where VDDQ_VDD2_1V8AO is fed by VIN_SYS_5V0; AGX Xavier).
_BOARD = (
    ("VDD_IN",),
    ("POM_5V_IN",),
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
)
#: Where the same rails are told twice, the first of these counts.
_SOURCES = ("tegrastats", "hwmon", "vcgencmd")


@dataclass(frozen=True, kw_only=True)
class _Power:
    """Readings of every rail, from one source."""

    source: str
    readings: Sequence[Mapping[str, float]]

    @property
    def rails(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(rail for reading in self.readings for rail in reading))

    def board(self, named: str) -> tuple[str, ...]:
        """The rails that add up to the board; none when that is not known."""
        if named:
            return tuple(named.split("+")) if set(named.split("+")) <= set(self.rails) else ()
        if self.source == "vcgencmd":
            return self.rails
        return next((rails for rails in _BOARD if set(rails) <= set(self.rails)), ())


def sensed(recording: Recording, mean_ms: float, named: str = "", own: float | None = None) -> dict[str, Any]:
    """The `sensors` of a profile: all in the time of the runs.

    Args:
        named: `power` of devices.toml.
        own: processors that the measured program kept busy; None when that is not known.
    """
    readings = recording.during()
    power = _power(readings, named)
    document: dict[str, Any] = {
        "seconds": round(recording.seconds, 3),
        "readings": len(readings),
        "temperature_c": _ranges([r.temperatures for r in readings]),
        "clock_mhz": _ranges([r.clocks for r in readings]),
        "throttled": sorted(set().union(*(r.throttled for r in readings))),
        **contention(recording, own),
        "power_source": power.source if power else None,
        "power_mw": {rail: _told([r[rail] for r in power.readings if rail in r]) for rail in power.rails}
        if power
        else None,
    }
    return document | _energy(power, mean_ms, named)


def reasons_during(recording: Recording) -> tuple[str, ...]:
    """Reasons not to believe the runs, of what was seen while they went."""
    readings = recording.during()
    held = sorted(set().union(*(r.throttled for r in readings)))
    reasons = [f"held back during the runs: {', '.join(held)}"] if held else []
    states = [r.cooling for r in readings if r.cooling]
    if states and any(state.get(name, 0) > first for state in states for name, first in states[0].items()):
        reasons.append("a cooling device went up during the runs")
    return tuple(reasons)


def _power(readings: Sequence[Reading], named: str) -> _Power | None:
    by_source = {source: [r.power_mw for r in readings if r.source == source and r.power_mw] for source in _SOURCES}
    found = [_Power(source=source, readings=told) for source, told in by_source.items() if told]
    return next((power for power in found if power.board(named)), found[0] if found else None)


def _energy(power: _Power | None, mean_ms: float, named: str) -> dict[str, Any]:
    """Millijoules an inference with the interval of two standard errors of the mean power; or why there is none."""
    board = power.board(named) if power else ()
    totals = [sum(r[rail] for rail in board) for r in power.readings if set(board) <= set(r)] if power else []
    if power is None:
        why = "the device has no power sensor that can be read"
    elif not board:
        asked = f"{named} is not among its rails" if named else "which of its rails add up to the board is not known"
        why = f"{asked} ({', '.join(power.rails)}): see `power` in devices.toml"
    elif len(totals) < FEWEST:
        why = f"{len(totals)} readings of power during the runs, {FEWEST} are wanted: measure longer (--seconds)"
    else:
        whole, doubt = mean(totals), 2 * stdev(totals) / sqrt(len(totals))
        interval = [(whole - doubt) * mean_ms / 1000, (whole + doubt) * mean_ms / 1000]
        energy = {"mj": whole * mean_ms / 1000, "interval": interval, "n": len(totals), "rails": list(board)}
        return {"energy": energy, "why_no_energy": None}
    return {"energy": None, "why_no_energy": why}


def _told(values: Sequence[float]) -> dict[str, float]:
    return {"mean": round(mean(values), 1), "low": min(values), "high": max(values), "n": len(values)}


def _ranges(readings: Sequence[Mapping[str, float]]) -> dict[str, list[float]] | None:
    """Lowest and highest of each sensor; None where there is none."""
    names = dict.fromkeys(name for reading in readings for name in reading)
    values = {name: [reading[name] for reading in readings if name in reading] for name in names}
    return {name: [min(told), max(told)] for name, told in values.items()} or None
