"""What devices print, where more than one test reads it."""

from __future__ import annotations

# `jetson_clocks --show` of an AGX Orin: github.com/rbonghi/jetson_stats, issue 381.
ORIN_CLOCKS = "SOC family:tegra234  Machine:Jetson AGX Orin\nOnline CPUs: 0-11\ncpu0: Online=1 Governor=schedutil "
ORIN_CLOCKS += "MinFreq={0} MaxFreq=2201600 CurrentFreq={0} IdleStates: WFI=1 c7=1\n"
# Field names and units as Android's ThermalManagerService prints them.
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
