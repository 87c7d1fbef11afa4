"""Android's `dumpsys battery` and `dumpsys thermalservice`.

Battery temperature is in tenths of a degree; "UPDATES STOPPED" means that its values were set by hand. The thermal status
goes from 0 (none) to 6 (shutdown); a status with an override was set by hand too. Temperatures are those of the block
"Current temperatures from HAL", not the cached ones; 0.0 is a sensor that is absent, and what is below absolute zero is
none (Android's BatteryService and ThermalManagerService, which print them). Types 6 to 8 of a reading are the battery's
voltage, current and percentage (hardware/interfaces/thermal, TemperatureType).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Battery", "Thermal", "parse_battery", "parse_status", "parse_thermal"]

_PAIR = re.compile(r"^\s*([A-Za-z ]+?):\s*(-?\w+)\s*$", re.MULTILINE)
_STATUS = {"2": "charging", "3": "discharging", "4": "not charging", "5": "full"}
_READING = re.compile(r"Temperature\{mValue=(-?[\d.]+), mType=(-?\d+), mName=([^,]*), mStatus=(\d+)\}")
_NO_HEAT = frozenset({"6", "7", "8"})
_COLDEST = -273.15
_LEVELS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


@dataclass(frozen=True, kw_only=True)
class Battery:
    """The battery; `faked` when its values were set by hand."""

    percent: float | None
    temperature_c: float | None
    voltage_mv: int | None
    status: str | None
    powered: bool
    faked: bool


@dataclass(frozen=True, kw_only=True)
class Thermal:
    """Thermal status (0 to 6, and its name) and degrees Celsius by sensor; `faked` when the status was set by hand."""

    status: int | None
    faked: bool
    temperatures: dict[str, float] = field(default_factory=dict)

    @property
    def level(self) -> str | None:
        return None if self.status is None else parse_status(str(self.status))


def parse_status(digits: str) -> str | None:
    """The name of a thermal status, None for a number that has none."""
    return _LEVELS[int(digits)] if digits.isdecimal() and int(digits) < len(_LEVELS) else None


def parse_battery(text: str) -> Battery | None:
    """None when the text is not of `dumpsys battery`."""
    found = {key.strip().lower(): value for key, value in _PAIR.findall(text)}
    if "level" not in found and "temperature" not in found:
        return None
    level, scale = _integer(found.get("level")), _integer(found.get("scale")) or 100
    tenths = _integer(found.get("temperature"))
    return Battery(
        percent=None if level is None else 100 * level / scale,
        temperature_c=None if tenths is None else tenths / 10,
        voltage_mv=_integer(found.get("voltage")),
        status=_STATUS.get(found.get("status", "")),
        powered=any(value == "true" for key, value in found.items() if key.endswith("powered")),
        faked="UPDATES STOPPED" in text,
    )


def parse_thermal(text: str) -> Thermal | None:
    """None when the text is not of `dumpsys thermalservice`."""
    status = re.search(r"^\s*Thermal Status:\s*(\d+)", text, re.MULTILINE)
    override = re.search(r"^\s*IsStatusOverride:\s*(\w+)", text, re.MULTILINE)
    if status is None and override is None:
        return None
    _, _, hal = text.partition("Current temperatures from HAL")
    block = re.split(r"^\s*(?:Current cooling devices|Cached|Temperature static)", hal, maxsplit=1, flags=re.MULTILINE)[
        0
    ]
    readings = {name: float(value) for value, kind, name, _ in _READING.findall(block) if kind not in _NO_HEAT}
    return Thermal(
        status=int(status[1]) if status else None,
        faked=override is not None and override[1] == "true",
        temperatures={name: value for name, value in readings.items() if value != 0.0 and value > _COLDEST},
    )


def _integer(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
