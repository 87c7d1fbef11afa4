"""Reading a device's sensors while something runs on it: a script beside the measurement, one line a reading.

    sysfs|zone.0.cpu-thermal=45000;clock.policy0=1500000;cooling.0.fan=1     m°C, kHz, state
    hwmon|VDD_IN=4900x612;gpu=12000000u;VDD_SYS_CPU=153m                      mV x mA, µW, mW
    pmic|VDD_CORE_A current(7)=0.8126A VDD_CORE_V volt(15)=0.8819V …         of `vcgencmd`
    throttled|throttled=0x0                                                  of `vcgencmd`
    status|0                                                                 Android's thermal status
    ticks|cpu  2255 34 2290 22625563 6290 127 456 17 0 0                     time of all processors, by /proc/stat
    RAM 1985/7765MB …                                                        of `tegrastats`

What is absent has no line. The script ends when its stdin does, and after its time in any case; it reads files with the
shell's own `read`, so that a reading starts no process but the `sleep` after it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from shlex import quote

from edgevision.devices.sensors.dumpsys import parse_status
from edgevision.devices.sensors.tegrastats import parse_tegrastats
from edgevision.devices.sensors.vcgencmd import parse_rails, parse_throttled

__all__ = ["INTERVAL", "Reading", "Recording", "read_line", "sampling_script"]

#: Seconds between readings; tools that are programs of their own (`vcgencmd`, `dumpsys`) are asked every fourth time.
INTERVAL = 0.25
_POWER = re.compile(r"(\d+)(?:x(-?\d+)|([um]))")


#: What the script can read, as shell functions; `$R` is where the tree of files begins.
_FUNCTIONS = """get() { v=; { read -r v <"$1"; } 2>/dev/null; [ -n "$v" ]; }
label() { l=; { read -r l <"$1"; } 2>/dev/null; [ -n "$l" ] || l=$2; }
sysfs() {
  line=
  for p in "$R"/sys/class/thermal/thermal_zone*; do
    get "$p/temp" && label "$p/type" unnamed && line="$line;zone.${p##*zone}.$l=$v"
  done
  for p in "$R"/sys/class/thermal/cooling_device*; do
    get "$p/cur_state" && label "$p/type" unnamed && line="$line;cooling.${p##*device}.$l=$v"
  done
  for p in "$R"/sys/devices/system/cpu/cpufreq/policy*; do
    get "$p/scaling_cur_freq" && line="$line;clock.${p##*/}=$v"
  done
  [ -z "$line" ] || echo "sysfs|${line#;}"
}
hwmon() {
  line=
  for c in "$R"/sys/class/hwmon/hwmon*; do
    get "$c/name" || continue
    n=$v
    for p in "$c"/power*_input; do
      get "$p" && { w=$v; i=${p##*/}; label "${p%input}label" "$n.${i%_input}"; line="$line;$l=${w}u"; }
    done
    [ "$n" = ina3221 ] || continue
    for i in 1 2 3; do
      get "$c/in${i}_input" || continue
      w=$v
      get "$c/curr${i}_input" && label "$c/in${i}_label" "$n.$i" && line="$line;$l=${w}x$v"
    done
  done
  for c in "$R"/sys/bus/i2c/drivers/ina3221x/*/iio*device*; do
    for i in 0 1 2; do
      get "$c/in_power${i}_input" && label "$c/rail_name_$i" "ina3221x.$i" && line="$line;$l=${v}m"
    done
  done
  [ -z "$line" ] || echo "hwmon|${line#;}"
}
ticks() { get "$R/proc/stat" && echo "ticks|$v"; }
has() { command -v "$1" >/dev/null 2>&1; }
tools() {
  if has vcgencmd; then
    p=$(vcgencmd pmic_read_adc 2>/dev/null) && echo "pmic|"$p
    p=$(vcgencmd get_throttled 2>/dev/null) && echo "throttled|$p"
  fi
  has dumpsys && p=$(dumpsys thermalservice 2>/dev/null) && s=${p#*Thermal Status: } && [ "$s" != "$p" ] &&
    echo "status|${s%%[!0-9]*}"
}
"""


def sampling_script(seconds: float, root: str = "") -> str:
    """The POSIX script, for at most `seconds`; `root` lets tests point it at a recorded tree."""
    return f"""exec 3<&0
R={quote(root)}
{_FUNCTIONS}work() {{
  turn=0
  while [ "$turn" -lt {int(seconds / INTERVAL) + 1} ]; do
    sysfs; hwmon; ticks
    [ "$((turn % 4))" -ne 0 ] || tools
    turn=$((turn + 1))
    sleep {INTERVAL} >/dev/null 2>&1 || sleep 1 >/dev/null 2>&1
  done
}}
work </dev/null 2>/dev/null 3<&- &
all=$!
if has tegrastats; then
  timeout -k 2 {seconds:.0f} tegrastats --interval {INTERVAL * 1000:.0f} </dev/null 2>/dev/null 3<&- &
  all="$all $!"
fi
cat <&3 >/dev/null
kill $all 2>/dev/null
wait
"""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One line; what it does not tell is empty.

    Attributes:
        source: the tool, or the place in sysfs.
        power_mw: milliwatts by rail.
        temperatures: degrees Celsius by sensor.
        clocks: MHz by processor.
        cooling: the state of each cooling device; it rises when the device works.
        throttled: what holds the processor back at this moment, in words.
        ticks: of all processors since boot, in the kernel's ticks: worked, given to others by a hypervisor while they
            wanted to work, and all there was.
    """

    source: str
    power_mw: dict[str, float] = field(default_factory=dict)
    temperatures: dict[str, float] = field(default_factory=dict)
    clocks: dict[str, float] = field(default_factory=dict)
    cooling: dict[str, float] = field(default_factory=dict)
    throttled: frozenset[str] = frozenset()
    ticks: tuple[int, int, int] | None = None


def read_line(line: str) -> Reading | None:
    """One line of the script; None for one that is not understood, as a line cut off by the end is."""
    source, bar, words = line.partition("|")
    reader = _READERS.get(source) if bar else _tegrastats
    return reader(words if bar else line) if reader else None


def _pairs(words: str) -> list[tuple[str, str]]:
    return [(name, value) for name, sign, value in (word.rpartition("=") for word in words.split(";")) if sign]


def _sysfs(words: str) -> Reading:
    found: dict[str, dict[str, float]] = {"zone": {}, "clock": {}, "cooling": {}}
    for name, value in _pairs(words):
        kind, _, rest = name.partition(".")
        if kind in found and value.lstrip("-").isdigit():
            found[kind][rest] = float(value)
    return Reading(
        source="sysfs",
        temperatures={name: value / 1000 for name, value in found["zone"].items() if value > 0},
        clocks={name: value / 1000 for name, value in found["clock"].items()},
        cooling=found["cooling"],
    )


def _hwmon(words: str) -> Reading:
    power = {}
    for rail, value in _pairs(words):
        match = _POWER.fullmatch(value)
        if match:
            number = float(match[1])
            power[rail] = number if match[3] == "m" else number * (float(match[2]) if match[2] else 1) / 1000
    return Reading(source="hwmon", power_mw=power)


def _tegrastats(line: str) -> Reading | None:
    found = parse_tegrastats(line)
    if found.ram_total_mib is None:
        return None
    gpu = found.gpu.mhz if found.gpu else ()
    clocks = {"gpu": float(max(gpu))} if gpu else {}
    heat, power = found.temperatures, {rail: float(mw) for rail, mw in found.power_mw.items()}
    return Reading(source="tegrastats", power_mw=power, temperatures=heat, clocks=clocks)


def _pmic(words: str) -> Reading:
    return Reading(source="vcgencmd", power_mw=parse_rails(words))


def _throttled(words: str) -> Reading | None:
    flags = parse_throttled(words)
    return None if flags is None else Reading(source="vcgencmd", throttled=flags.now)


def _status(words: str) -> Reading | None:
    level = parse_status(words)
    if level is None:
        return None
    held = frozenset() if level == "none" else frozenset({f"Android's thermal status {level}"})
    return Reading(source="thermalservice", throttled=held)


def _ticks(words: str) -> Reading | None:
    """user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice; proc(5)."""
    told = words.split()[1:9]
    if len(told) < 8 or not all(number.isdecimal() for number in told):
        return None
    user, nice, system, _idle, _waiting, irq, softirq, steal = numbers = tuple(map(int, told))
    return Reading(source="stat", ticks=(user + nice + system + irq + softirq, steal, sum(numbers)))


_READERS: dict[str, Callable[[str], Reading | None]] = {
    "sysfs": _sysfs,
    "hwmon": _hwmon,
    "pmic": _pmic,
    "throttled": _throttled,
    "status": _status,
    "ticks": _ticks,
}


class Recording:
    """Readings as they arrive, and when the runs were: only readings between the first run and the last one count.

    A reading's time is that of its arrival here, as is a run's: both come the same way.
    """

    def __init__(self) -> None:
        self._readings: list[tuple[float, Reading]] = []
        self._lock = threading.Lock()
        self._start: float | None = None
        self._end: float | None = None

    def line(self, text: str) -> None:
        """Take a line of the script."""
        reading = read_line(text)
        if reading is not None:
            with self._lock:
                self._readings.append((time.monotonic(), reading))

    def ran(self) -> None:
        """A timed run has ended just now, or the first of them begins."""
        self._end = time.monotonic()
        if self._start is None:
            self._start = self._end

    @property
    def seconds(self) -> float:
        """From the first run to the last one."""
        return 0.0 if self._start is None or self._end is None else self._end - self._start

    def during(self) -> list[Reading]:
        """The readings that count, in order."""
        return [reading for _, reading in self.during_runs()]

    def during_runs(self) -> list[tuple[float, Reading]]:
        """The same, each with the time of its arrival in seconds."""
        if self._start is None or self._end is None:
            return []
        with self._lock:
            return [(at, reading) for at, reading in self._readings if self._start <= at <= self._end]
