"""A real adbd: Debian's on loopback (see adbd.py), or a phone: EDGEVISION_TEST_ADB names its serial, ..._FOLDER a folder."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from adbd import Adbd, running_adbd
from small_bundle import small_bundle

from edgevision.devices import sampling as sampling_module
from edgevision.devices.adb import AdbTransport
from edgevision.devices.device import DeviceLostError
from edgevision.devices.local import ProfileOptions
from edgevision.devices.named import NamedDevice
from edgevision.devices.remote import RemoteDevice
from edgevision.devices.remote_profile import profile_device
from edgevision.devices.runner import runner_path, runtime_library
from edgevision.errors import DeviceError

SERIAL = os.environ.get("EDGEVISION_TEST_ADB", "")
FOLDER = os.environ.get("EDGEVISION_TEST_ADB_FOLDER", "/data/local/tmp")


@pytest.fixture(scope="module")
def adbd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adbd | None]:
    """The daemon on loopback; None where a phone is named."""
    if SERIAL:
        yield None
        return
    with running_adbd(tmp_path_factory.mktemp("adbd")) as running:
        yield running


@pytest.fixture
def transport(adbd: Adbd | None, monkeypatch: pytest.MonkeyPatch) -> AdbTransport:
    if adbd is None:
        return AdbTransport(serial=SERIAL, base=FOLDER)
    for name, value in adbd.environment.items():
        monkeypatch.setenv(name, value)
    return AdbTransport(serial=adbd.serial, base=adbd.base)


def left_behind(transport: AdbTransport) -> list[str]:
    lines: list[str] = []
    with RemoteDevice("adb", transport) as device:
        device.run(["sh", "-c", 'ls -d "$1"/edgevision.*', "sh", transport.base], seconds=10, on_line=lines.append)
    assert len(lines) >= 2, "the lock and the work folder of this very session"
    return lines[2:]


def test_run_files_and_time_limit(transport: AdbTransport, tmp_path: Path) -> None:
    lines: list[str] = []
    with RemoteDevice("adb", transport) as device:
        finished = device.run(["sh", "-c", "echo a; echo b >&2; exit 42"], seconds=10, on_line=lines.append)
        assert (finished.code, finished.errors.strip(), lines) == (42, "b", ["a"])
        assert device.run(["sh", "-c", "kill -SEGV $$"], seconds=10, on_line=lines.append).signal == 11
        (tmp_path / "sent").write_bytes(bytes(range(256)) * 4096)
        device.push(tmp_path / "sent", "file")
        device.pull("file", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == (tmp_path / "sent").read_bytes()
        with pytest.raises(DeviceError, match="longer than 1 s") as caught:
            device.run(["sleep", "60"], seconds=1, on_line=lines.append)
        assert not isinstance(caught.value, DeviceLostError)
        with pytest.raises(DeviceError, match="another profile"):
            RemoteDevice("adb", transport)
    assert left_behind(transport) == []


@pytest.mark.skipif(runner_path() is None, reason="the runner is not built (make plugins)")
@pytest.mark.skipif(runtime_library() is None, reason="this onnxruntime has no shared library")
def test_profile(transport: AdbTransport, tmp_path: Path) -> None:
    with RemoteDevice("adb", transport) as device:
        if device.probe()["arch"] != os.uname().machine:
            pytest.skip("the device has another processor than the runner built here")
    named = NamedDevice(
        name="adb", address=f"adb://{transport.serial}", folder=transport.base, onnxruntime=str(runtime_library())
    )
    document = profile_device(small_bundle(tmp_path / "small"), named, ProfileOptions(runs=12))
    assert document["runs"] == 12
    assert document["parity"]["max_abs_over_std"] < 1e-5
    assert left_behind(transport) == []


THERMAL = "IsStatusOverride: false\\nThermal Status: %s\\nHAL Ready: true\\nCurrent temperatures from HAL:\\n"
BATTERY = "Current Battery Service state:\\n  level: 85\\n  scale: 100\\n  temperature: 289\\n"


@pytest.mark.skipif(runner_path() is None, reason="the runner is not built (make plugins)")
@pytest.mark.skipif(runtime_library() is None, reason="this onnxruntime has no shared library")
def test_a_phone_that_gets_hot_only_during_the_runs(
    transport: AdbTransport, adbd: Adbd | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for Android's `dumpsys`: the first status asked for is the probe's, and so is the last."""
    if adbd is None:
        pytest.skip("a phone has a dumpsys of its own")
    monkeypatch.setattr(sampling_module, "INTERVAL", 0.05)  # more readings in less time
    dumpsys = adbd.tools / "dumpsys"
    count = f'n=$(cat "{adbd.base}/n" 2>/dev/null || echo 0); n=$((n + 1)); echo $n >"{adbd.base}/n"'
    status = f'[ $((n % 2)) = 0 ] && printf "{THERMAL}" 2 || printf "{THERMAL}" 0'
    dumpsys.write_text(f'#!/bin/sh\ncase $1 in battery) printf "{BATTERY}" ;; *) {count}; {status} ;; esac\n')
    dumpsys.chmod(0o755)
    named = NamedDevice(
        name="adb", address=f"adb://{transport.serial}", folder=transport.base, onnxruntime=str(runtime_library())
    )
    try:
        document = profile_device(small_bundle(tmp_path / "small"), named, ProfileOptions(runs=25, seconds=1.5))
    finally:
        dumpsys.unlink()
        Path(adbd.base, "n").unlink()
    assert document["sensors"]["throttled"] == ["Android's thermal status moderate"]
    assert document["sensors"]["readings"] > 5
    assert document["verdict"] == "unstable"
    assert "held back during the runs: Android's thermal status moderate" in document["reasons"]
    assert "temperature: 289" in document["environment"]["before"]["probe"]["battery"]
    assert left_behind(transport) == []


def test_metacharacters_are_arguments_only(transport: AdbTransport, tmp_path: Path) -> None:
    lines: list[str] = []
    hostile = [f"$(touch {tmp_path}/witness)", f"; touch {tmp_path}/witness", "'\"\\ \t*", "-n"]
    with RemoteDevice("adb", transport) as device:
        device.run(["printf", "[%s]", *hostile], seconds=10, on_line=lines.append)
    assert "\n".join(lines) == "".join(f"[{word}]" for word in hostile)
    assert not (tmp_path / "witness").exists()


def test_serial_that_is_not_there(transport: AdbTransport) -> None:
    with pytest.raises(DeviceError, match="no device of this serial"):
        RemoteDevice("adb", AdbTransport(serial="127.0.0.1:9", base=transport.base))


def test_daemon_killed_mid_run_is_a_lost_device_and_comes_back(transport: AdbTransport, adbd: Adbd | None) -> None:
    if adbd is None:
        pytest.skip("a phone's daemon is not ours to kill")
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        if len(lines) == 2:
            threading.Thread(target=adbd.kill).start()

    device = RemoteDevice("adb", transport)
    with pytest.raises(DeviceLostError):
        device.run(["sh", "-c", "echo $$; echo sample; exec sleep 600"], seconds=100, on_line=on_line)
    device.close()
    assert lines[1:] == ["sample"]
    end = time.monotonic() + 20
    while Path(f"/proc/{lines[0]}").exists():
        assert time.monotonic() < end, "the program is still there"
        time.sleep(0.1)
    with pytest.raises(DeviceError):
        RemoteDevice("adb", transport)
    adbd.restart()
    with RemoteDevice("adb", transport) as restored:
        assert restored.probe()["arch"]
    assert left_behind(transport) == []
