"""What a Raspberry Pi's firmware prints, and what the tools of all devices together tell of its state."""

from __future__ import annotations

import pytest
from recorded_texts import ORIN_CLOCKS, THERMAL

from edgevision.devices.probe import state_of
from edgevision.devices.sensors.vcgencmd import parse_clock, parse_rails, parse_temperature, parse_throttled
from edgevision.devices.throttling import reasons_against


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


def test_power_of_a_raspberry_pi_5() -> None:
    # Rails and form as the Pi 5's firmware prints them; which have no current: github.com/ml-energy/zeus, issue 273.
    text = """ 3V7_WL_SW_A current(0)=0.10247270A
  VDD_CORE_A current(7)=1.42880000A
 3V7_WL_SW_V volt(8)=3.71091200V
  VDD_CORE_V volt(15)=0.90659250V
     EXT5V_V volt(24)=5.05716000V
      BATT_V volt(25)=0.00000000V
"""
    rails = parse_rails(text)
    assert rails == parse_rails(text.replace("\n", " "))
    assert set(rails) == {"3V7_WL_SW", "VDD_CORE"}
    assert rails["VDD_CORE"] == pytest.approx(1000 * 1.4288 * 0.9065925)
    assert parse_rails('error=1 error_msg="Command not registered"') == {}


def test_tools_tell_what_the_kernel_does_not() -> None:
    firmware = {"arm": "frequency(48)=1500398464", "heat": "temp=42.2'C"}
    state = state_of(firmware)
    assert (state["clock_mhz"], state["temperature_c"], state["clocks_locked"]) == ([1500.398464], 42.2, None)
    kernel = {"policy0.scaling_cur_freq": "1800000", "zone.0.cpu": "51000"}
    assert (state_of(firmware | kernel)["clock_mhz"], state_of(firmware | kernel)["temperature_c"]) == ([1800.0], 51.0)
    free, locked = ({"clocks": ORIN_CLOCKS.format(khz)} for khz in (729600, 2201600))
    assert [state_of(probe)["clocks_locked"] for probe in (free, locked)] == [False, True]
    assert reasons_against(free, locked) == ("jetson_clocks was switched on or off meanwhile",)


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
