"""What the devices' sensors told while the runs went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgevision.report.entry import Entry
from edgevision.report.table import Cell, Table, cell

__all__ = ["sensor_table"]


def sensor_table(entries: Sequence[Entry]) -> Table | None:
    """One row a profile; None when none was made with sensors read during the runs."""
    rows = [_row(e.label, e.document["sensors"]) for e in entries if e.document.get("sensors")]
    if not rows:
        return None
    names = ("measurement", "time (s)", "readings (n)", "hottest sensor (°C)", "clocks (MHz)", "power (W)")
    note = "Lowest to highest between the first run and the last. Power: mean of each rail. — : no sensor. Other programs: of "
    note += "all processors' time; other guests: of the time that the processors wanted to work."
    more = ("other programs had", "other guests had", "held back by", "no energy because")
    return Table(title="During the runs", note=note, columns=(*names, *more), rows=rows)


def _row(label: str, sensors: Mapping[str, Any]) -> Sequence[Cell]:
    heat, clocks, power = sensors["temperature_c"], sensors["clock_mhz"], sensors["power_mw"]
    hottest = max(heat.items(), key=lambda item: float(item[1][1])) if heat else None
    return (
        cell(label),
        cell(sensors["seconds"], ".1f"),
        cell(sensors["readings"]),
        cell(f"{hottest[0]} {hottest[1][0]:.1f} to {hottest[1][1]:.1f}" if hottest else None),
        cell(_listed(f"{name} {low:.0f} to {high:.0f}" for name, (low, high) in (clocks or {}).items())),
        cell(_listed(f"{rail} {told['mean'] / 1000:.2f} (n = {told['n']})" for rail, told in (power or {}).items())),
        cell(sensors.get("others"), ".1%"),
        cell(sensors.get("stolen"), ".1%"),
        cell(_listed(sensors["throttled"])),
        cell(sensors["why_no_energy"]),
    )


def _listed(words: Iterable[str]) -> str | None:
    return ", ".join(words) or None
