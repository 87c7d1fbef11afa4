"""NVIDIA's `tegrastats`: one line a sample, its fields different on every generation of Jetson and JetPack.

Known forms of a field, each of which some release prints:

    CPU [12%@729,off,...]                     load and MHz per core; `off` is a core that is switched off
    GR3D_FREQ 0% | 10%@1300 | @[1000,1000] | 0%@[1300,1300]     GPU load and MHz, either or both, one or two clusters
    EMC_FREQ 0%@2133                          memory controller
    RAM 4321/62801MB
    cpu@52.9C | cpu@52.9C/52.9C | CV0@-256C   temperature, and its average; -256 is a sensor that is switched off
    PMIC@100C | PMIC@50C                      no sensor: the same figure whatever the heat, left out
    VDD_GPU_SOC 2340mW/2340mW | 5V_IN 2532/2698     power now and its average since tegrastats began, mW

Fields that are none of these are left out: boards add their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Load", "Tegrastats", "parse_tegrastats"]

#: What a sensor that is switched off reads, in degrees Celsius.
_OFF = -256.0
_RAM = re.compile(r"\bRAM (\d+)/(\d+)MB")
_CPU = re.compile(r"\bCPU \[([^\]]*)\]")
_CORE = re.compile(r"(\d+)%@(\d+)")
_ENGINE = re.compile(r"\b(GR3D_FREQ|EMC_FREQ) (?:(\d+)%)?(?:@(?:\[([\d,]+)\]|(\d+)))?")
_TEMPERATURE = re.compile(r"(?:^|\s)([A-Za-z][\w-]*)@(-?\d+(?:\.\d+)?)C(?:/-?\d+(?:\.\d+)?C)?(?=\s|$)")
_POWER = re.compile(r"(?:^|\s)([A-Z0-9][A-Z0-9_]*) (\d+)(?:mW)?/(\d+)(?:mW)?(?=\s|$)")


@dataclass(frozen=True, kw_only=True)
class Load:
    """Share of time busy, in percent, and clocks in MHz, one per cluster; either may be unknown."""

    percent: int | None
    mhz: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Tegrastats:
    """One line.

    Attributes:
        cores: one per core, None for a core that is switched off.
        temperatures: degrees Celsius by sensor, in lower case.
        power_mw: by rail, now; the average that stands beside it depends on when tegrastats began.
    """

    ram_used_mib: int | None = None
    ram_total_mib: int | None = None
    cores: tuple[Load | None, ...] = ()
    gpu: Load | None = None
    memory: Load | None = None
    temperatures: dict[str, float] = field(default_factory=dict)
    power_mw: dict[str, int] = field(default_factory=dict)


def parse_tegrastats(line: str) -> Tegrastats:
    """One line; a line with nothing known in it gives an empty result."""
    ram, cpu = _RAM.search(line), _CPU.search(line)
    engines = {found[1]: _load(found) for found in _ENGINE.finditer(line) if found[2] or found[3] or found[4]}
    heat = {name.lower(): float(value) for name, value in _TEMPERATURE.findall(line)}
    return Tegrastats(
        ram_used_mib=int(ram[1]) if ram else None,
        ram_total_mib=int(ram[2]) if ram else None,
        cores=tuple(map(_core, cpu[1].split(","))) if cpu else (),
        gpu=engines.get("GR3D_FREQ"),
        memory=engines.get("EMC_FREQ"),
        temperatures={name: value for name, value in heat.items() if value != _OFF and name != "pmic"},
        power_mw={rail: int(now) for rail, now, _ in _POWER.findall(line) if rail not in {"RAM", "SWAP", "IRAM"}},
    )


def _core(text: str) -> Load | None:
    found = _CORE.fullmatch(text.strip())
    return Load(percent=int(found[1]), mhz=(int(found[2]),)) if found else None


def _load(found: re.Match[str]) -> Load:
    clocks = found[3] or found[4]
    mhz = tuple(int(clock) for clock in clocks.split(",")) if clocks else ()
    return Load(percent=int(found[2]) if found[2] else None, mhz=mhz)
