"""Reasons not to believe a measurement, from the probes before and after it."""

from __future__ import annotations

from collections.abc import Mapping

from edgevision.devices.probe import state_of
from edgevision.devices.sensors.dumpsys import parse_battery, parse_thermal
from edgevision.devices.sensors.jetson import parse_nvpmodel
from edgevision.devices.sensors.vcgencmd import parse_throttled

__all__ = ["reasons_against"]


def reasons_against(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Every sign of throttling, or of a setting that changed while it ran; a sensor that is absent gives none."""
    return (*_linux(before, after), *_jetson(before, after), *_raspberry(before, after), *_android(before, after))


def _linux(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    reasons = []
    first, last = state_of(before), state_of(after)
    if first["cooling"] is not None and last["cooling"] is not None and last["cooling"] > first["cooling"]:
        reasons.append("a cooling device went up during the runs")
    if first["governor"] != last["governor"]:
        reasons.append(f"the governor changed from {first['governor']} to {last['governor']}")
    return reasons


def _jetson(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    first, last = parse_nvpmodel(before.get("nvpmodel", "")), parse_nvpmodel(after.get("nvpmodel", ""))
    if first != last:
        told = [mode.name if mode else "unknown" for mode in (first, last)]
        return [f"the power mode changed from {told[0]} to {told[1]}"]
    locked = [state_of(probe)["clocks_locked"] for probe in (before, after)]
    return ["jetson_clocks was switched on or off meanwhile"] if locked[0] != locked[1] else []


def _raspberry(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    first, last = parse_throttled(before.get("vcgencmd", "")), parse_throttled(after.get("vcgencmd", ""))
    if last is None:
        return []
    new = last.now | (last.since_boot - (first.since_boot if first else frozenset()))
    return [f"the firmware reports: {', '.join(sorted(new))}"] if new else []


def _android(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    reasons = []
    thermal, battery = parse_thermal(after.get("thermal", "")), parse_battery(after.get("battery", ""))
    for probe in (before, after):
        state = parse_thermal(probe.get("thermal", ""))
        if state is not None and state.status:
            reasons.append(f"Android's thermal status was {state.status} ({state.level})")
    if thermal is not None and thermal.faked:
        reasons.append("Android's thermal status was set by hand")
    if battery is not None and battery.faked:
        reasons.append("the battery's values were set by hand")
    return list(dict.fromkeys(reasons))
