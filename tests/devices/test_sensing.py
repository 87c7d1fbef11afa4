"""Sensors read while a model runs: the script on a recorded tree, and whole profiles over a real sshd with stand-in tools.

The stand-ins print what NVIDIA's and the Raspberry Pi's tools print; what is shown is the way from a line on the device
to an energy in the report. No power sensor has been read here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_bundle import small_bundle
from sshd import Sshd, running_sshd
from test_engine import engine_bundle, orin, stand_in
from test_remote_profile import named, needs_runner, needs_runtime, script

from edgevision.devices import sampling as sampling_module
from edgevision.devices.contention import contention, reasons_of
from edgevision.devices.energy import reasons_during, sensed
from edgevision.devices.local import ProfileOptions, profile_local
from edgevision.devices.remote_profile import profile_device
from edgevision.devices.runner import runner_path, runtime_library
from edgevision.devices.sampling import Reading, Recording, read_line, sampling_script
from edgevision.efficiency import peaks as peaks_module
from edgevision.efficiency import remote_peaks as remote_module
from edgevision.report.csv_rows import to_csv
from edgevision.report.markdown import to_markdown
from edgevision.report.page import make_page
from edgevision.report.sources import read_sources

ORIN_NX = "RAM 6982/7620MB CPU [97%@1984] GR3D_FREQ 84%@[713] cpu@{heat}C CV0@-256C VDD_IN {power}mW/15710mW VDD_SOC 3923mW/1mW"


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")


def test_the_script_reads_what_is_there_and_ends_with_its_stdin(tmp_path: Path) -> None:
    ina, old = "sys/class/hwmon/hwmon3", "sys/bus/i2c/drivers/ina3221x/0-0041/iio:device1"
    put(tmp_path, {
        f"{ina}/name": "ina3221", f"{ina}/in1_label": "VDD_GPU_SOC", f"{ina}/in1_input": "843",
        f"{ina}/curr1_input": "6170", f"{ina}/in2_input": "780",  # no current: no power
        "sys/class/hwmon/hwmon0/name": "ina238", "sys/class/hwmon/hwmon0/power1_input": "12500000",
        "sys/class/hwmon/hwmon1/name": "rp1_adc", "sys/class/hwmon/hwmon1/in1_input": "1465",
        "sys/class/hwmon/hwmon1/curr1_input": "1",  # only of an INA is it known that these belong together
        f"{old}/rail_name_0": "VDD_IN", f"{old}/in_power0_input": "3140",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal", "sys/class/thermal/thermal_zone0/temp": "51200",
        "sys/class/thermal/cooling_device0/type": "fan", "sys/class/thermal/cooling_device0/cur_state": "2",
        "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "1500000",
    })  # fmt: skip
    command = ["sh", "-c", sampling_script(0.5, str(tmp_path))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        sysfs, hwmon = (read_line(process.stdout.readline().rstrip()) for _ in range(2))
        more = [process.stdout.readline()[:5] for _ in range(4)]
        time.sleep(0.5)
        assert process.poll() is None  # its time is over, and it waits for us
        process.stdin.close()
        assert process.wait(10) is not None
        assert (more, process.stdout.read()) == (["sysfs", "hwmon"] * 2, "")  # three readings in half a second
    assert sysfs == Reading(
        source="sysfs", temperatures={"0.cpu-thermal": 51.2}, clocks={"policy0": 1500.0}, cooling={"0.fan": 2.0}
    )
    assert hwmon is not None
    assert hwmon.power_mw == {"ina238.power1": 12500.0, "VDD_GPU_SOC": pytest.approx(5201.31), "VDD_IN": 3140.0}


def test_a_line_cut_short_is_no_reading() -> None:
    assert [read_line(text) for text in ("", "tegrastats: not permitted", "status|", "throttled|error=1")] == [None] * 4
    assert read_line("hwmon|VDD_IN=49") == Reading(source="hwmon")  # a number without its unit
    assert read_line("sysfs|zone.0.cpu=") == Reading(source="sysfs")


def recorded(*lines: str) -> Recording:
    recording = Recording()
    recording.line("hwmon|VDD_IN=9999m")  # before the runs
    recording.ran()
    for line in lines:
        recording.line(line)
    recording.ran()
    recording.line("hwmon|VDD_IN=9999m")  # after them
    return recording


def test_energy_is_power_times_time_and_needs_readings_and_known_rails() -> None:
    whole = sensed(recorded(*(f"hwmon|VDD_IN={mw}m;VDD_SOC=500m" for mw in (3000, 4000, 5000))), 20.0)
    assert whole["energy"]["mj"] == pytest.approx(4000 * 20 / 1000)
    assert whole["energy"]["interval"] == pytest.approx([80 - 23.094, 80 + 23.094], rel=1e-4)  # 2 x 1000 / sqrt 3 mW
    assert (whole["energy"]["rails"], whole["energy"]["n"]) == (["VDD_IN"], 3)
    assert whole["power_mw"]["VDD_SOC"] == {"mean": 500.0, "low": 500.0, "high": 500.0, "n": 3}
    xavier = sensed(recorded(*["RAM 1/2MB GPU 463/1 CPU 618/1 SOC 2936/1 CV 0/0 VDDRQ 309/1 SYS5V 3306/1"] * 3), 1.0)
    assert xavier["energy"]["mj"] == pytest.approx(7.632)
    few = sensed(recorded("hwmon|VDD_IN=3000m"), 20.0)
    assert few["energy"] is None
    assert "--seconds" in few["why_no_energy"]
    unknown = recorded(*["hwmon|ina219.power1=3000m;other=1m"] * 3)
    assert "is not known (ina219.power1, other)" in sensed(unknown, 20.0)["why_no_energy"]
    assert sensed(unknown, 20.0, "ina219.power1+other")["energy"]["mj"] == pytest.approx(60.02)
    assert "VDD_X is not among its rails" in sensed(unknown, 20.0, "VDD_X")["why_no_energy"]
    assert sensed(Recording(), 20.0)["why_no_energy"] == "the device has no power sensor that can be read"


def test_throttling_seen_only_during_the_runs_is_a_reason() -> None:
    assert reasons_during(recorded("throttled|throttled=0x50000", "status|0", "sysfs|cooling.0.fan=1")) == ()
    seen = recorded("throttled|throttled=0x4", "status|2", "sysfs|cooling.0.fan=1", "sysfs|cooling.0.fan=2")
    told = "held back during the runs: Android's thermal status moderate, throttled"
    assert reasons_during(seen) == (told, "a cooling device went up during the runs")


def test_what_others_had_of_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processors for ten seconds: 1,400 ticks worked, 40 stolen, and the program measured had one of them, nearly."""
    now = iter((100.0, 100.5, 110.5, 111.0))  # when: begin of the runs, two readings, end
    monkeypatch.setattr(sampling_module, "time", SimpleNamespace(monotonic=lambda: next(now)))
    recording = Recording()
    recording.ran()
    recording.line("ticks|cpu 1000 0 500 9000 10 0 0 5 0 0")
    recording.line("ticks|cpu 2300 0 600 9550 20 0 0 45 0 0")
    recording.ran()
    found = contention(recording, own=0.95)
    assert found == {
        "stolen": pytest.approx(40 / 1440, abs=1e-4),
        "others": pytest.approx((1400 - 950) / 2000, abs=1e-4),
    }
    assert contention(recording, own=None)["others"] is None
    assert reasons_of(found) == (
        "the hypervisor gave 3% of the processors' time to others",
        "other programs had 22% of all processors' time during the runs",
    )
    assert reasons_of({"stolen": 0.01, "others": None}) == ()
    assert contention(Recording(), own=1.0) == {"stolen": None, "others": None}
    assert [read_line(f"ticks|{text}") for text in ("cpu 1 2 3", "", "cpu a 0 0 0 0 0 0 0")] == [None] * 3


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="no /proc/stat")
def test_a_neighbour_is_seen_in_a_local_profile(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling_module, "INTERVAL", 0.05)  # more readings in less time
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as neighbour:
        try:
            sensors = profile_local(bundle, ProfileOptions(runs=25, seconds=1.0))["sensors"]
        finally:
            neighbour.kill()
    assert sensors["readings"] > 3
    assert sensors["others"] > 0.2 / (os.cpu_count() or 1)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tools")


@pytest.fixture(scope="module")
def equipped(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server whose PATH begins with `tools`."""
    with running_sshd(tmp_path_factory.mktemp("equipped"), f"{tools}:{os.environ['PATH']}") as running:
        yield running


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("bundle") / "small")


def tool(path: Path, *lines: str) -> None:
    script(path, *lines)
    path.chmod(0o755)


@needs_runner
@needs_runtime
def test_energy_of_a_jetson(equipped: Sshd, tools: Path, bundle: Path, tmp_path: Path) -> None:
    one, two = (ORIN_NX.format(heat=heat, power=power) for heat, power in ((61.5, 10000), (63.25, 14000)))
    every = 'echo $$ >"$0.pid"', f"while :; do echo '{one}'; sleep 0.05; echo '{two}'; sleep 0.05; done"
    tool(tools / "tegrastats", 'echo "$@" >"$0.words"', *every)
    try:
        device = named(equipped, onnxruntime=str(runtime_library()))
        document = profile_device(bundle, device, ProfileOptions(runs=25, seconds=1.0))
    finally:
        (tools / "tegrastats").unlink()
    sensors = document["sensors"]
    power = sensors["power_mw"]["VDD_IN"]
    assert (power["low"], power["high"], power["n"] >= 5) == (10000, 14000, True)
    assert document["energy_mj"] == pytest.approx(power["mean"] * document["latency_ms"]["mean"] / 1000, rel=1e-4)
    assert sensors["energy"]["rails"] == ["VDD_IN"]
    assert sensors["temperature_c"]["cpu"] == [61.5, 63.25]
    assert sensors["clock_mhz"]["gpu"] == [713, 713]
    assert 0.5 < sensors["seconds"] < 60
    assert (tools / "tegrastats.words").read_text() == "--interval 250\n"
    assert not Path(f"/proc/{(tools / 'tegrastats.pid').read_text().strip()}").exists()
    # --seconds: timed runs went on past the 25 asked for.
    assert document["runs"] == len(document["latency_ms"]["samples"]) > 25
    assert sum(document["latency_ms"]["samples"]) > 200
    file = tmp_path / "profile.json"
    file.write_text(json.dumps(document))
    page = make_page(read_sources([file]))
    told = f"{document['energy_mj']:.3g} ("
    assert told in to_markdown(page)
    assert f"VDD\\_IN {power['mean'] / 1000:.2f} (n = {power['n']})" in to_markdown(page)
    assert str(document["energy_mj"]) in to_csv(page)


def test_energy_of_an_engine(equipped: Sshd, tools: Path, tmp_path: Path) -> None:
    """Readings from when trtexec starts until it is done; before, while the engine is built, power is another."""
    busy = tmp_path / "busy"
    lines = [ORIN_NX.format(heat=50, power=power) for power in (1000, 9000)]
    tool(tools / "tegrastats", f"while :; do [ -e {busy} ] && echo '{lines[1]}' || echo '{lines[0]}'; sleep 0.05; done")
    trtexec = tmp_path / "trtexec"
    stand_in(trtexec, pause=0.8)
    started = 'print("[I] Starting inference"'
    text = trtexec.read_text()
    assert started in text
    trtexec.write_text(text.replace(started, f'open("{busy}", "w"); time.sleep(0.5); {started}'))
    try:
        device = orin(equipped, str(trtexec))
        document = profile_device(engine_bundle(tmp_path / "small"), device, ProfileOptions(runs=20, seconds=2.0))
    finally:
        (tools / "tegrastats").unlink()
    assert document["sensors"]["power_mw"]["VDD_IN"]["low"] == 9000
    assert document["energy_mj"] == pytest.approx(9000 * document["latency_ms"]["mean"] / 1000)
    assert document["sensors"]["energy"]["n"] >= 3


@needs_runner
@needs_runtime
def test_energy_and_throttling_of_a_raspberry_pi(
    equipped: Sshd, tools: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling_module, "INTERVAL", 0.05)  # more readings in less time
    adc = "printf '  VDD_CORE_A current(7)=2.0A\\n  VDD_CORE_V volt(15)=0.9V\\n  EXT5V_V volt(24)=5.1V\\n'"
    # The first answer is the probe's before the runs; then the firmware caps the clock every other time.
    count = 'n=$(cat "$0.n" 2>/dev/null || echo 0); n=$((n + 1)); echo $n >"$0.n"'
    throttled = f"{count}; [ $((n % 2)) = 0 ] && echo throttled=0x2 || echo throttled=0x0"
    tool(tools / "vcgencmd", f"case $1 in pmic_read_adc) {adc};; *) {throttled};; esac")
    try:
        device = named(equipped, onnxruntime=str(runtime_library()))
        document = profile_device(bundle, device, ProfileOptions(runs=25, seconds=2.5))
    finally:
        (tools / "vcgencmd").unlink()
    assert document["sensors"]["power_mw"]["VDD_CORE"]["mean"] == pytest.approx(1800)
    assert document["energy_mj"] == pytest.approx(1800 * document["latency_ms"]["mean"] / 1000)
    assert document["sensors"]["throttled"] == ["frequency capped"]
    assert document["verdict"] == "unstable"
    assert "held back during the runs: frequency capped" in document["reasons"]


@needs_runner
@needs_runtime
def test_without_a_sensor_there_is_no_energy_and_pinning_and_peaks_work(
    equipped: Sshd, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a device entry's `cpu` and --per-op do on the device: the core, the matrix products and the copy."""
    monkeypatch.setattr(peaks_module, "SIDE", 256)  # small: the way there is what is shown
    monkeypatch.setattr(remote_module, "GEMM_OPS", 2 * 256**3)
    core, seen = max(os.sched_getaffinity(0)), tmp_path / "cores"
    watch = f"for t in 1 2 3 4 5; do sleep 0.1; grep Cpus_allowed_list /proc/$own/status >>{seen} 2>/dev/null; done"
    look = f'"{runner_path()}" "$@" & own=$!; {watch}; wait $own'
    runner = script(tmp_path / "runner", f'echo "$@" >>{tmp_path}/words; {look}')
    device = named(equipped, onnxruntime=str(runtime_library()), runner=runner, cpu=core)
    document = profile_device(bundle, device, ProfileOptions(runs=25, seconds=0.5, per_op=True))
    assert document["energy_mj"] is None
    assert document["sensors"]["energy"] is None
    assert document["sensors"]["why_no_energy"]
    pinned = {line.split(":")[1].strip() for line in seen.read_text().splitlines()}
    assert str(core) in pinned  # the first looks may come before it has pinned itself
    assert document["migrations"] == 0
    assert {row["op"] for row in document["per_op"]} >= {"Conv"}
    peaks = document["efficiency"]["peaks"]
    assert peaks["gemm_gops"]["fp32"] > 0
    assert peaks["copy_gb_s"] > 0
    assert document["efficiency"]["computational_efficiency"] > 0
    words = (tmp_path / "words").read_text().splitlines()
    assert sum("--copy" in line for line in words) == 1
    assert len(words) == 5  # the model, its trace, and a product in three precisions
    deadline = time.monotonic() + 10
    while list(equipped.tmp.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
