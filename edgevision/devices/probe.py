"""One round trip that asks a device what it is and how it feels: `key=value` lines, the last of them `end=1`.

A sensor that is absent has no line, so that it is reported as null and never as 0. Taken before and after a
measurement. `root` lets tests point it at a recorded tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import Any

from edgevision.devices.sensors.jetson import parse_jetson_clocks
from edgevision.devices.sensors.vcgencmd import parse_clock, parse_temperature
from edgevision.errors import DeviceError

__all__ = ["parse_probe", "probe_script", "state_of"]

_ANDROID = (
    *("manufacturer", "model", "board"),
    *("build.version.release", "build.version.sdk", "build.fingerprint", "cpu.abi"),
)


def probe_script(root: str = "") -> str:
    """The POSIX script."""
    properties = " ".join(f"ro.product.{p}" if "." not in p or p == "cpu.abi" else f"ro.{p}" for p in _ANDROID)
    return f"""R={quote(root)}
say() {{ [ -r "$R$2" ] && v=$(tr -d '\\000' <"$R$2" 2>/dev/null | head -n 1) && [ -n "$v" ] && echo "$1=$v"; }}
told() {{ key=$1; shift; command -v "$1" >/dev/null 2>&1 && "$@" 2>/dev/null </dev/null | sed "s/^/$key|/"; }}
echo "kernel=$(uname -s) $(uname -r)"
echo "arch=$(uname -m)"
say uptime /proc/uptime
say load /proc/loadavg
say board /proc/device-tree/model
say l4t /etc/nv_tegra_release
say online /sys/devices/system/cpu/online
sed -n 's/^model name[^:]*: */cpu=/p' "$R/proc/cpuinfo" 2>/dev/null | head -n 1
sed -n 's/^MemAvailable: *\\([0-9]*\\) kB/memory_kb=\\1/p' "$R/proc/meminfo" 2>/dev/null
for p in "$R"/sys/devices/system/cpu/cpufreq/policy*; do
  for k in related_cpus scaling_governor scaling_min_freq scaling_max_freq cpuinfo_max_freq scaling_cur_freq; do
    say "${{p##*/}}.$k" "${{p#"$R"}}/$k"
  done
done
for z in "$R"/sys/class/thermal/thermal_zone*; do
  [ -r "$z/temp" ] && t=$(cat "$z/temp" 2>/dev/null) && echo "zone.${{z##*zone}}.$(cat "$z/type" 2>/dev/null)=$t"
done
for z in "$R"/sys/class/thermal/cooling_device*; do
  [ -r "$z/cur_state" ] && echo "cooling.${{z##*device}}.$(cat "$z/type" 2>/dev/null)=$(cat "$z/cur_state")"
done
told nvpmodel nvpmodel -q
told clocks jetson_clocks --show
told gpu nvidia-smi --query-gpu=name --format=csv,noheader
told vcgencmd vcgencmd get_throttled
told heat vcgencmd measure_temp
told arm vcgencmd measure_clock arm
told battery dumpsys battery
told thermal dumpsys thermalservice
for p in {properties}; do
  command -v getprop >/dev/null 2>&1 && v=$(getprop "$p") && [ -n "$v" ] && echo "$p=$v"
done
echo end=1
"""


def parse_probe(text: str, device: str) -> dict[str, str]:
    """The lines as a mapping; the lines of one tool's output (`key|line`) are joined.

    Raises:
        DeviceError: the last line is missing: the probe did not run to its end.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, sign, value = line.partition("=")
        tool, bar, words = line.partition("|")
        if bar and tool.isalpha():
            found[tool] = f"{found[tool]}\n{words}" if tool in found else words
        elif sign:
            found[key] = value.strip()
    if found.pop("end", None) != "1":
        raise DeviceError(device, "it did not answer the probe to the end", "try again; if it stays so, use another sh")
    return found


def state_of(probe: Mapping[str, str]) -> dict[str, Any]:
    """A probe under the names that a profile's `environment` has; absent sensors are None.

    The kernel's clocks and temperatures come first; a Raspberry Pi's firmware tells both where the kernel does not.
    `clocks_locked`: by `jetson_clocks`, which needs root there.
    """
    policies = {key.split(".")[0] for key in probe if key.startswith("policy")}
    governors = sorted({probe[f"{p}.scaling_governor"] for p in policies if f"{p}.scaling_governor" in probe})
    clocks = [_number(probe.get(f"{p}.scaling_cur_freq")) for p in sorted(policies)]
    firmware = parse_clock(probe.get("arm", "")), parse_temperature(probe.get("heat", ""))
    cores = [core for core in parse_jetson_clocks(probe.get("clocks", "")) if core.online]
    zones = [_number(value) for key, value in probe.items() if key.startswith("zone.")]
    hot = [z / 1000 for z in zones if z is not None and z > 0]
    cooling = [_number(value) for key, value in probe.items() if key.startswith("cooling.")]
    memory = _number(probe.get("memory_kb"))
    return {
        "governor": ", ".join(governors) or None,
        "clock_mhz": [c / 1000 for c in clocks if c is not None] or ([firmware[0]] if firmware[0] else None),
        "clocks_locked": all(core.locked for core in cores) if cores else None,
        "temperature_c": max(hot) if hot else firmware[1],
        "load_1min": _number(probe.get("load", "").split(" ")[0]),
        "free_memory_mib": None if memory is None else int(memory // 1024),
        "cooling": sum(c for c in cooling if c is not None) if cooling else None,
        "throttled": None,
        "probe": dict(probe),
    }


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
