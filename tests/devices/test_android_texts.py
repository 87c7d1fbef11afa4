"""Parsers of what Android's `dumpsys` prints, on recorded text of several generations. The source of each is named beside it."""

from __future__ import annotations

import pytest
from recorded_texts import THERMAL

from edgevision.devices.sensors.dumpsys import parse_battery, parse_thermal

# Android 11 on a Shield TV: github.com/bryanroscoe/shield_optimizer, issue 6 (its cached block is of the start).
SHIELD = """IsStatusOverride: false
ThermalEventListeners:
        callbacks: 1
        killed: false
        broadcasts count: -1
Thermal Status: 0
Cached temperatures:
        Temperature{mValue=36.0, mType=1, mName=GPU, mStatus=0}
        Temperature{mValue=37.0, mType=0, mName=CPU0, mStatus=0}
HAL Ready: true
HAL connection:
        ThermalHAL 1.0 connected: yes
Current temperatures from HAL:
        Temperature{mValue=66.5, mType=0, mName=CPU0, mStatus=0}
"""
# The blocks after the temperatures, of Android 14 and 15: AOSP, ThermalManagerService.dump and its test; the types of
# readings that are no temperatures: hardware/interfaces/thermal, TemperatureType.
FOURTEEN = """IsStatusOverride: false
Thermal Status: 3
Cached temperatures:
	Temperature{mValue=99.0, mType=3, mName=skin1, mStatus=0}
HAL Ready: true
HAL connection:
	ThermalHAL AIDL 1  connected: yes
Current temperatures from HAL:
	Temperature{mValue=44.3, mType=3, mName=skin1, mStatus=3}
	Temperature{mValue=4.384, mType=6, mName=vbat, mStatus=0}
	Temperature{mValue=85.0, mType=8, mName=socd, mStatus=0}
	Temperature{mValue=-5700.0, mType=-1, mName=virtual, mStatus=0}
Current cooling devices from HAL:
	CoolingDevice{mValue=0, mType=1, mName=cpu}
Temperature static thresholds from HAL:
	TemperatureThreshold{mType=3, mName=skin1, mHotThrottlingThresholds=[25.0, 30.0], mColdThrottlingThresholds=[0.0]}
Temperature headroom thresholds:
[NaN, 0.8, 1.0]
"""
# A Pixel and a Samsung of the Skia project's laboratory, shortened from google/skia-buildbot,
# machine/go/machine/processor/impl_test.go of 2022 or before; ThermalHAL 2.0 came with Android 10, the release is not
# said. Samsung counts its types from one, and its power amplifier is absent.
PIXEL = """IsStatusOverride: false
ThermalEventListeners:
	callbacks: 3
Thermal Status: 0
Cached temperatures:
	Temperature{mValue=32.401, mType=3, mName=mb-therm-monitor, mStatus=0}
	Temperature{mValue=46.100002, mType=0, mName=cpu0-silver-usr, mStatus=0}
HAL Ready: true
HAL connection:
	ThermalHAL 2.0 connected: yes
Current temperatures from HAL:
	Temperature{mValue=28.000002, mType=2, mName=battery, mStatus=0}
	Temperature{mValue=33.800003, mType=0, mName=cpu0-silver-usr, mStatus=0}
Current cooling devices from HAL:
	CoolingDevice{mValue=0, mType=1, mName=battery}
	CoolingDevice{mValue=0, mType=2, mName=thermal-cpufreq-0}"""
SAMSUNG = """IsStatusOverride: false
Thermal Status: 0
Cached temperatures:
 Temperature{mValue=-99.9, mType=6, mName=TYPE_POWER_AMPLIFIER, mStatus=0}
	Temperature{mValue=25.3, mType=4, mName=TYPE_SKIN, mStatus=0}
HAL Ready: true
HAL connection:
	Sdhms connected: yes
Current temperatures from HAL:
	Temperature{mValue=24.0, mType=1, mName=TYPE_CPU, mStatus=0}
	Temperature{mValue=25.3, mType=4, mName=TYPE_SKIN, mStatus=0}
	Temperature{mValue=-99.9, mType=6, mName=TYPE_POWER_AMPLIFIER, mStatus=0}
Current cooling devices from HAL:
	CoolingDevice{mValue=1, mType=4, mName=TYPE_MODEM}"""
NO_HAL = "IsStatusOverride: false\nThermal Status: 0\nCached temperatures:\nHAL Ready: false\n"


@pytest.mark.parametrize(
    ("text", "level", "temperatures"),
    [
        (PIXEL, "none", {"battery": 28.000002, "cpu0-silver-usr": 33.800003}),
        (SAMSUNG, "none", {"TYPE_CPU": 24.0, "TYPE_SKIN": 25.3}),
        (SHIELD, "none", {"CPU0": 66.5}),
        (FOURTEEN, "severe", {"skin1": 44.3}),
        (NO_HAL, "none", {}),
    ],
    ids=["Pixel", "Samsung", "Android 11", "Android 14", "no HAL"],
)
def test_thermalservice_of_several_androids(text: str, level: str, temperatures: dict[str, float]) -> None:
    found = parse_thermal(text)
    assert found is not None
    assert (found.level, found.temperatures) == (level, temperatures)


# Fields that Android 14 added (charging state and policy), on an Honor phone of 2024.
BATTERY_FOURTEEN = """Current Battery Service state:
  AC powered: false
  USB powered: false
  Wireless powered: false
  Dock powered: false
  Max charging current: 0
  Max charging voltage: 0
  Charge counter: 2848000
  status: 3
  health: 2
  present: true
  level: 54
  scale: 100
  voltage: 3906
  temperature: 220
  technology: Li-ion
  Charging state: 0
  Charging policy: 0
"""


def test_battery_of_android_14() -> None:
    found = parse_battery(BATTERY_FOURTEEN)
    assert found is not None
    assert (found.percent, found.temperature_c, found.voltage_mv) == (54.0, 22.0, 3906)
    assert (found.status, found.powered) == ("discharging", False)


BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  status: 2
  level: 85
  scale: 100
  voltage: 4216
  temperature: 289
"""


def test_dumpsys() -> None:
    # Field names and units as Android's BatteryService and ThermalManagerService print them.
    battery = parse_battery(BATTERY)
    assert battery is not None
    assert (battery.percent, battery.temperature_c, battery.voltage_mv) == (85.0, 28.9, 4216)
    assert (battery.status, battery.powered, battery.faked) == ("charging", True, False)
    faked = parse_battery(BATTERY.replace("state:", "state:\n  (UPDATES STOPPED -- use 'reset' to restart)"))
    assert faked is not None
    assert faked.faked
    assert parse_battery("Can't find service: battery") is None
    thermal = parse_thermal(THERMAL)
    assert thermal is not None
    assert (thermal.status, thermal.level, thermal.faked) == (0, "none", False)
    assert thermal.temperatures == {"AP": 25.6}  # not the cached one, and no absent sensor
