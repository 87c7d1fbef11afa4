"""What else the machine was doing: the share of its processors that went to others while we measured."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Load", "Watch", "noise"]

#: More of one processor than this in others' hands makes a measurement noisy.
MOST_FOREIGN, MOST_STOLEN, MOST_SPREAD = 0.05, 0.01, 0.10


@dataclass(frozen=True, kw_only=True)
class Load:
    """Over the time of a measurement.

    Attributes:
        foreign: processors kept busy by processes that are not ours, on average.
        stolen: share of the time that the hypervisor gave to other machines.
        average: load averages at the end, over 1, 5 and 15 minutes.
    """

    foreign: float
    stolen: float
    average: tuple[float, float, float]


@dataclass(frozen=True)
class _Ticks:
    busy: int
    stolen: int
    total: int
    own: float

    @classmethod
    def now(cls) -> _Ticks:
        fields = [int(n) for n in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]]
        user, nice, system, _idle, _waiting, irq, softirq, stolen = fields
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system
        return cls(user + nice + system + irq + softirq, stolen, sum(fields), own * os.sysconf("SC_CLK_TCK"))


class Watch:
    """Started when a measurement begins."""

    def __init__(self) -> None:
        self._start = _Ticks.now()

    def load(self) -> Load:
        """What happened since."""
        start, end = self._start, _Ticks.now()
        total = max(1, end.total - start.total)
        foreign = (end.busy - start.busy - (end.own - start.own)) / total * (os.cpu_count() or 1)
        return Load(foreign=max(0.0, foreign), stolen=(end.stolen - start.stolen) / total, average=os.getloadavg())


def noise(load: Load, spreads: Sequence[float]) -> list[str]:
    """Why these measurements may not be believed; empty when they may."""
    reasons = []
    if load.foreign > MOST_FOREIGN:
        reasons.append(f"other processes kept {load.foreign:.2f} processors busy")
    if load.stolen > MOST_STOLEN:
        reasons.append(f"the hypervisor took {load.stolen:.1%} of the time")
    wide = [s for s in spreads if s > MOST_SPREAD]
    if wide:
        reasons.append(f"{len(wide)} of {len(spreads)} medians have a middle half wider than {MOST_SPREAD:.0%}")
    return reasons


def cpu() -> dict[str, Any]:
    """Name and number of the processors."""
    from edgevision.environment import cpu_name

    return {"name": cpu_name(), "count": os.cpu_count()}
