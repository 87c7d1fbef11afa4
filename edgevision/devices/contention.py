"""Who else had the processors while something was measured: a hypervisor's other guests, and other programs.

Neither shows in the trace when it lasts as long as the measurement: two processors of a cloud machine are often the two
threads of one core, and a model takes 1.5 times as long while the other one works.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgevision.devices.sampling import Recording

__all__ = ["contention", "reasons_of"]

#: Share of the time that the processors wanted to work, above which what went to other guests is a reason.
LARGEST_STOLEN = 0.02
#: Share of all processors' time, above which what other programs worked is a reason: a tenth of a core of two.
LARGEST_OTHERS = 0.05
#: Ticks a second of /proc/stat: USER_HZ, the same on every Linux of the last twenty years.
HERTZ = 100


def contention(recording: Recording, own: float | None) -> dict[str, float | None]:
    """`stolen` and `others`, shares as above; None where there are fewer than two readings of /proc/stat.

    Args:
        own: processors that the measured program kept busy, its threads together; None when that is not known.
    """
    ticks = [(at, reading.ticks) for at, reading in recording.during_runs() if reading.ticks]
    if len(ticks) < 2:
        return {"stolen": None, "others": None}
    (start, first), (end, last) = ticks[0], ticks[-1]
    worked, stolen, whole = (b - a for a, b in zip(first, last, strict=True))
    if whole <= 0:
        return {"stolen": None, "others": None}
    others = None if own is None else max(0.0, worked / whole - own * HERTZ * (end - start) / whole)
    return {
        "stolen": round(stolen / (worked + stolen), 4) if worked + stolen else 0.0,
        "others": None if others is None else round(others, 4),
    }


def reasons_of(sensors: Mapping[str, Any]) -> tuple[str, ...]:
    """Reasons not to believe a measurement, from its `sensors`."""
    reasons = []
    if (sensors["stolen"] or 0) > LARGEST_STOLEN:
        reasons.append(f"the hypervisor gave {sensors['stolen']:.0%} of the processors' time to others")
    if (sensors["others"] or 0) > LARGEST_OTHERS:
        reasons.append(f"other programs had {sensors['others']:.0%} of all processors' time during the runs")
    return tuple(reasons)
