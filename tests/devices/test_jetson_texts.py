"""Parsers of what NVIDIA's tools print, on recorded text of several generations. The source of each is named beside it."""

from __future__ import annotations

import pytest
from recorded_texts import ORIN_CLOCKS

from edgevision.devices.sensors.jetson import PowerMode, parse_jetson_clocks, parse_nvpmodel
from edgevision.devices.sensors.tegrastats import Load, parse_tegrastats

# JetPack 5 on an AGX Orin, its first form: two GPU fields, rails that lead nowhere (as printed for github.com user catid).
ORIN_FIVE = (
    "04-24-2023 00:01:24 RAM 1282/62795MB (lfb 15152x4MB) SWAP 0/31398MB (cached 0MB) CPU [0%@729,0%@729] EMC_FREQ 0%@2133 "
    "GR3D_FREQ 0%@0 GR3D2_FREQ 0%@0 VIC_FREQ 729 APE 174 CV0@-256C CPU@42.593C Tboard@32C SOC2@39.343C GPU@-256C tj@42.593C "
    "VDD_GPU_SOC 2399mW/2399mW VDD_CPU_CV 400mW/400mW VIN_SYS_5V0 4032mW/4032mW NC 0mW/0mW VDDQ_VDD2_1V8AO 301mW/301mW "
    "NC 0mW/0mW"
)
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


# JetPack 4.2 on a TX2: github.com/FindHao/tx-utils, issue 3.
TX2 = (
    "RAM 2020/7852MB (lfb 1164x4MB) CPU [9%@345,21%@345,25%@345,3%@345,1%@345,1%@345] EMC_FREQ 0% GR3D_FREQ 0% "
    "PLL@42.5C MCPU@42.5C PMIC@100C Tboard@40C GPU@41C BCPU@42.5C thermal@41.9C Tdiode@41.25C VDD_SYS_GPU 153/158 "
    "VDD_SYS_SOC 536/547 VDD_4V0_WIFI 633/527 VDD_IN 3140/3208 VDD_SYS_CPU 536/590 VDD_SYS_DDR 557/601"
)
# JetPack 4.6 on a TX2 NX: github.com/henrygd/beszel, pull request 1631.
TX2_NX = (
    "RAM 3276/7859MB (lfb 5x4MB) SWAP 1626/12122MB (cached 181MB) CPU [44%@1421,49%@2031,67%@2034,17%@1420,25%@1419,"
    "8%@1420] EMC_FREQ 1%@1866 GR3D_FREQ 0%@114 APE 150 MTS fg 1% bg 1% PLL@42.5C MCPU@42.5C PMIC@50C Tboard@38C "
    "GPU@39.5C BCPU@42.5C thermal@41.3C Tdiode@39.25C VDD_SYS_GPU 182/182 VDD_SYS_SOC 730/730 VDD_4V0_WIFI 0/0 "
    "VDD_IN 5297/5297 VDD_SYS_CPU 1917/1917 VDD_SYS_DDR 1241/1241"
)
# JetPack 4.2 on an AGX Xavier: github.com/martinkersner/gtop, pull request 7.
XAVIER = (
    "RAM 14700/15692MB (lfb 3x2MB) SWAP 898/8192MB (cached 23MB) CPU [0%@1190,0%@1190,0%@1190,0%@1190,0%@1190,0%@1190,"
    "0%@1190,0%@1190] EMC_FREQ 0% GR3D_FREQ 0% AO@30C GPU@30.5C Tboard@31C Tdiode@32C AUX@30.5C CPU@31.5C thermal@30.8C "
    "PMIC@100C GPU 463/463 CPU 618/618 SOC 2936/2936 CV 0/0 VDDRQ 309/309 SYS5V 3306/3306"
)
# JetPack 6 on an Orin NX: github.com/rbonghi/jetson_stats, issue 624.
ORIN_NX = (
    "05-15-2025 18:30:28 RAM 6982/7620MB (lfb 5x1MB) SWAP 2640/16384MB (cached 202MB) CPU [97%@1984,95%@1984,95%@1984,"
    "91%@1984,88%@1984,93%@247] EMC_FREQ 18%@3199 GR3D_FREQ 84%@[713] NVENC 1%@115 NVDEC 40%@115 NVJPG off NVJPG1 off "
    "VIC 31%@115 OFA off NVDLA0 off PVA0_FREQ off APE 174 cv0@63.031C cpu@65.562C soc2@64.156C soc0@63.031C cv1@62.937C "
    "gpu@63.5C tj@65.562C soc1@64.718C cv2@60.875C VDD_IN 17946mW/15710mW VDD_CPU_GPU_CV 8896mW/7585mW "
    "VDD_SOC 3923mW/3515mW"
)


@pytest.mark.parametrize(
    ("line", "cores", "gpu", "hottest", "board"),
    [
        (TX2, 6, Load(percent=0, mhz=()), ("pll", 42.5), {"VDD_IN": 3140}),
        (TX2_NX, 6, Load(percent=0, mhz=(114,)), ("pll", 42.5), {"VDD_IN": 5297}),
        (XAVIER, 8, Load(percent=0, mhz=()), ("tdiode", 32.0), {"GPU": 463, "CPU": 618, "CV": 0, "SYS5V": 3306}),
        (ORIN_NX, 6, Load(percent=84, mhz=(713,)), ("cpu", 65.562), {"VDD_IN": 17946}),
        (ORIN_FIVE, 2, Load(percent=0, mhz=(0,)), ("cpu", 42.593), {"VDD_GPU_SOC": 2399, "VIN_SYS_5V0": 4032}),
    ],
    ids=["TX2", "TX2 NX", "AGX Xavier", "Orin NX", "AGX Orin"],
)
def test_tegrastats_of_every_generation(
    line: str, cores: int, gpu: Load, hottest: tuple[str, float], board: dict[str, int]
) -> None:
    found = parse_tegrastats(line)
    assert len(found.cores) == cores
    assert found.gpu == gpu
    assert max(found.temperatures.items(), key=lambda item: item[1]) == hottest  # PMIC is no sensor
    assert found.power_mw.items() >= board.items()
    assert not found.power_mw.keys() & {"RAM", "SWAP", "NVENC", "APE"}


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
    # JetPack 5 and 6 name the fan first; as an ordinary user errors follow.
    fan = (
        "NV Fan Mode:quiet\nNV Power Mode: MODE_15W_DESKTOP\n7\nNVPM ERROR: Error opening /sys/kernel/emc_iso_cap: 13\n"
    )
    assert parse_nvpmodel(fan) == PowerMode(name="MODE_15W_DESKTOP", number=7)


# `jetson_clocks --show` of a TX1, a Nano and a Xavier: the lines that jetson_stats 3.1 was written for
# (github.com/rbonghi/jetson_stats, jtop/core/jetson_clocks.py before January 2023).
TX1_CLOCKS = "cpu0: Gonvernor=interactive MinFreq=102000 MaxFreq=1734000 CurrentFreq=510000\n"
NANO_CLOCKS = (
    "cpu0: Online=1 Governor=schedutil MinFreq=102000 MaxFreq=1428000 CurrentFreq=1428000 IdleStates: WFI=1 c7=1\n"
)
XAVIER_CLOCKS = (
    "cpu0: Online=1 Governor=schedutil MinFreq=1190400 MaxFreq=2265600 CurrentFreq=1574400 IdleStates: C1=1 c6=1\n"
)
#: What other lines of theirs look like.
NOT_CORES = (
    "GPU MinFreq=76800000 MaxFreq=921600000 CurrentFreq=153600000\nActive GPU TPCs: 4\n"
    "EMC MinFreq=204000000 MaxFreq=1600000000 CurrentFreq=1600000000 FreqOverride=0\n"
    "DLA0_CORE:   Online=1 MinFreq=0 MaxFreq=1600000000 CurrentFreq=1600000000\nFan: speed=0\nNV Power Mode: MAXN\n"
)


@pytest.mark.parametrize(
    ("text", "governor", "now", "locked"),
    [
        (TX1_CLOCKS, "interactive", 510000, False),
        (NANO_CLOCKS, "schedutil", 1428000, False),
        (XAVIER_CLOCKS, "schedutil", 1574400, False),
        (ORIN_CLOCKS.format(729600), "schedutil", 729600, False),
        (ORIN_CLOCKS.format(2201600), "schedutil", 2201600, True),
    ],
    ids=["TX1", "Nano", "Xavier", "Orin", "Orin locked"],
)
def test_jetson_clocks_of_several_generations(text: str, governor: str, now: int, locked: bool) -> None:
    (core,) = parse_jetson_clocks(text + NOT_CORES)
    assert (core.core, core.online, core.governor, core.now, core.locked) == (0, True, governor, now, locked)
    assert parse_jetson_clocks("Error: Run this script as root") == ()
