"""A Raspberry Pi's firmware: `vcgencmd get_throttled`, `measure_temp`, `measure_clock`, `pmic_read_adc`.

`throttled=0x50005`: bits 0 to 3 are now, bits 16 to 19 the same since boot: under-voltage, frequency capped, throttled,
soft temperature limit (Raspberry Pi documentation, vcgencmd). Bits since boot are compared before and after.

`pmic_read_adc` (Pi 5) tells current and voltage of the rails behind the power chip, on lines of their own. EXT5V and BATT
have no current: what USB ports and whatever else hangs on the 5 V input draw is not in the sum.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Throttled", "parse_clock", "parse_rails", "parse_temperature", "parse_throttled"]

_NAMES = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
_THROTTLED = re.compile(r"throttled=0x([0-9a-fA-F]+)")
_TEMPERATURE = re.compile(r"temp=(-?\d+(?:\.\d+)?)'C")
_CLOCK = re.compile(r"frequency\(\d+\)=(\d+)")
_RAIL = re.compile(r"(\S+)_([AV]) (?:current|volt)\(\d+\)=(\d+(?:\.\d+)?)\2(?=\s|$)")


@dataclass(frozen=True, kw_only=True)
class Throttled:
    """What holds the processor back now, and what has since boot."""

    now: frozenset[str]
    since_boot: frozenset[str]


def parse_throttled(text: str) -> Throttled | None:
    """The flags, None when the text holds none."""
    found = _THROTTLED.search(text)
    if found is None:
        return None
    bits = int(found[1], 16)
    now = frozenset(name for i, name in enumerate(_NAMES) if bits >> i & 1)
    return Throttled(now=now, since_boot=frozenset(name for i, name in enumerate(_NAMES) if bits >> (16 + i) & 1))


def parse_temperature(text: str) -> float | None:
    """Degrees Celsius of `measure_temp`."""
    found = _TEMPERATURE.search(text)
    return float(found[1]) if found else None


def parse_clock(text: str) -> float | None:
    """MHz of `measure_clock`, which prints Hz; 0 is a clock that is not there."""
    found = _CLOCK.search(text)
    return int(found[1]) / 1e6 if found and int(found[1]) else None


def parse_rails(text: str) -> dict[str, float]:
    """Milliwatts of every rail of `pmic_read_adc` whose current and voltage are both told."""
    found = {(rail, unit): float(value) for rail, unit, value in _RAIL.findall(text)}
    return {
        rail: 1000 * amperes * found[rail, "V"]
        for (rail, unit), amperes in found.items()
        if unit == "A" and (rail, "V") in found
    }
