"""Parsers of what devices print, on recorded text of several generations. The source of each is named beside it."""

from __future__ import annotations

import pytest

from edgevision.devices.sensors.dumpsys import parse_battery, parse_thermal
from edgevision.devices.sensors.jetson import PowerMode, parse_jetson_clocks, parse_nvpmodel
from edgevision.devices.sensors.tegrastats import Load, parse_tegrastats
from edgevision.devices.sensors.vcgencmd import parse_clock, parse_temperature, parse_throttled
from edgevision.devices.throttling import reasons_against

# AGX Orin: github.com/GDWR/jetson_exporter, issue 14 (shortened there).
ORIN = (
    "04-11-2025 10:36:27 RAM 4321/62801MB (lfb 1759x4MB) SWAP 19/31400MB (cached 0MB) "
    "CPU [0%@729,3%@729,off,off] EMC_FREQ 0%@2133 GR3D_FREQ 0%@[0,0] "
    "CPU@44.562C tj@44.343C CV0@-256C VDD_GPU_SOC 2340mW/2340mW VDD_CPU_CV 0mW/12mW"
)


def test_tegrastats_of_an_orin() -> None:
    found = parse_tegrastats(ORIN)
    assert (found.ram_used_mib, found.ram_total_mib) == (4321, 62801)
    assert found.cores == (Load(percent=0, mhz=(729,)), Load(percent=3, mhz=(729,)), None, None)
    assert found.memory == Load(percent=0, mhz=(2133,))
    assert found.gpu == Load(percent=0, mhz=(0, 0))
    assert found.temperatures == {"cpu": 44.562, "tj": 44.343}  # CV0 is switched off
    assert found.power_mw == {"VDD_GPU_SOC": 2340, "VDD_CPU_CV": 0}


@pytest.mark.parametrize(
    ("text", "gpu"),
    [  # the four forms that jetson_stats knows, the last from its pull request 894
        ("GR3D_FREQ 0%", Load(percent=0, mhz=())),
        ("GR3D_FREQ 10%@1300", Load(percent=10, mhz=(1300,))),
        ("GR3D_FREQ @[1000,1000]", Load(percent=None, mhz=(1000, 1000))),
        ("GR3D_FREQ 0%@[1300,1300]", Load(percent=0, mhz=(1300, 1300))),
        ("EMC_FREQ 0%", None),
        ("", None),
    ],
)
def test_tegrastats_gpu_of_every_generation(text: str, gpu: Load | None) -> None:
    assert parse_tegrastats(f"RAM 1/2MB {text} cpu@52.9C/52.9C").gpu == gpu


def test_tegrastats_power_without_a_unit_and_temperatures_twice() -> None:
    found = parse_tegrastats("RAM 1/2MB CPU [7%@1479] cpu@52.9C/52.9C POM_5V_IN 2532/2698")
    assert found.temperatures == {"cpu": 52.9}
    assert found.power_mw == {"POM_5V_IN": 2532}
    assert parse_tegrastats("tegrastats: not permitted").cores == ()


def test_nvpmodel_with_and_without_what_surrounds_it() -> None:
    # The form jetson_stats reads: the number stands on the line after the name.
    assert parse_nvpmodel("NV Power Mode: MAXN\n0\n") == PowerMode(name="MAXN", number=0)
    noisy = "NVPM WARN: fan mode is not set!\nNV Power Mode: MODE_15W\n2\n"
    assert parse_nvpmodel(noisy) == PowerMode(name="MODE_15W", number=2)
    assert parse_nvpmodel("NVPM ERROR: no mode") is None


def test_jetson_clocks() -> None:
    # The line's form: github.com/rbonghi/jetson_stats, issue 381.
    head = "SOC family:tegra234  Machine:Jetson AGX Orin\nOnline CPUs: 0-11\n"
    line = "cpu0: Online=1 Governor=schedutil MinFreq={} MaxFreq=2201600 CurrentFreq={} IdleStates: WFI=1 c7=1\n"
    (free,) = parse_jetson_clocks(head + line.format(729600, 1344000))
    (locked,) = parse_jetson_clocks(head + line.format(2201600, 2201600))
    assert (free.governor, free.locked, locked.locked) == ("schedutil", False, True)
    assert parse_jetson_clocks("Error: Run this script as root") == ()


def test_vcgencmd() -> None:
    # Bits: the Raspberry Pi documentation of vcgencmd.
    past = parse_throttled("throttled=0x50000")
    assert past is not None
    assert past.now == frozenset()
    assert past.since_boot == {"under-voltage", "throttled"}
    both = parse_throttled("throttled=0x80008")
    assert both is not None
    assert both.now == both.since_boot == {"soft temperature limit"}
    assert parse_throttled("VCHI initialization failed") is None
    assert parse_temperature("temp=42.2'C") == 42.2
    assert parse_clock("frequency(48)=1500398464") == pytest.approx(1500.398464)
    assert parse_clock("frequency(0)=0") is None


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

THERMAL = """IsStatusOverride: false
ThermalEventListeners:
	callbacks: 2
Thermal Status: 0
Cached temperatures:
 Temperature{mValue=99.0, mType=0, mName=AP, mStatus=0}
HAL Ready: true
Current temperatures from HAL:
	Temperature{mValue=25.6, mType=0, mName=AP, mStatus=0}
	Temperature{mValue=0.0, mType=3, mName=SKIN, mStatus=0}
Current cooling devices from HAL:
	CoolingDevice{mValue=0, mType=2, mName=cpu}
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


def test_reasons_need_evidence() -> None:
    assert reasons_against({}, {}) == ()
    calm = {
        "nvpmodel": "NV Power Mode: MAXN\n0",
        "vcgencmd": "throttled=0x50000",
        "thermal": THERMAL,
        "cooling.0.fan": "1",
    }
    assert reasons_against(calm, calm) == ()
    hot = {
        "nvpmodel": "NV Power Mode: 15W\n2",
        "vcgencmd": "throttled=0xd0008",
        "thermal": THERMAL.replace("Thermal Status: 0", "Thermal Status: 2"),
        "cooling.0.fan": "2",
        "policy0.scaling_governor": "powersave",
    }
    reasons = " | ".join(reasons_against(calm, hot))
    for expected in ("cooling device", "powersave", "MAXN to 15W", "soft temperature limit", "2 (moderate)"):
        assert expected in reasons
    assert "under-voltage" not in reasons  # it was there before
