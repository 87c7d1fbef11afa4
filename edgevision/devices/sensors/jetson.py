"""A Jetson's power mode (`nvpmodel -q`) and whether its clocks are locked (`jetson_clocks --show`, as root).

`nvpmodel -q` prints `NV Power Mode: NAME` and the mode's number on the line after it; warnings may stand before. With
`jetson_clocks` a core's clocks are locked when its lowest, highest and present frequency are the same. On a TX1 the line
names no `Online` and spells `Gonvernor`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["CoreClocks", "PowerMode", "parse_jetson_clocks", "parse_nvpmodel"]

_MODE = re.compile(r"^NV Power Mode:\s*(\S+)\s*$(?:\s*^(\d+)\s*$)?", re.MULTILINE)
_CORE = re.compile(
    r"^cpu(\d+):\s*(?:Online=(\d)\s+)?Gon?vernor=(\S+)\s+MinFreq=(\d+)\s+MaxFreq=(\d+)\s+CurrentFreq=(\d+)",
    re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True)
class PowerMode:
    """Name and number, e.g. MAXN and 0; numbers mean different modes on different boards."""

    name: str
    number: int | None


@dataclass(frozen=True, kw_only=True)
class CoreClocks:
    """One core; frequencies in kHz."""

    core: int
    online: bool
    governor: str
    lowest: int
    highest: int
    now: int

    @property
    def locked(self) -> bool:
        return self.lowest == self.highest == self.now


def parse_nvpmodel(text: str) -> PowerMode | None:
    """The mode, None when the text names none."""
    found = _MODE.search(text)
    if found is None:
        return None
    return PowerMode(name=found[1], number=int(found[2]) if found[2] else None)


def parse_jetson_clocks(text: str) -> tuple[CoreClocks, ...]:
    """All cores named; none where the tool was refused (it needs root)."""
    return tuple(
        CoreClocks(
            core=int(m[1]), online=m[2] != "0", governor=m[3], lowest=int(m[4]), highest=int(m[5]), now=int(m[6])
        )
        for m in _CORE.finditer(text)
    )
