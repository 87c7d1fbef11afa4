"""A real adbd: a phone, or Debian's `adbd` on loopback. EDGEVISION_TEST_ADB names its serial, ..._FOLDER a folder there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from small_bundle import small_bundle

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
pytestmark = [
    pytest.mark.skipif(not SERIAL, reason="EDGEVISION_TEST_ADB names no device"),
    pytest.mark.skipif(shutil.which("adb") is None, reason="adb is not installed"),
]


@pytest.fixture
def transport() -> AdbTransport:
    return AdbTransport(serial=SERIAL, base=FOLDER)


def left_behind(transport: AdbTransport) -> list[str]:
    lines: list[str] = []
    with RemoteDevice("adb", transport) as device:
        device.run(["sh", "-c", 'ls -d "$1"/edgevision.*', "sh", FOLDER], seconds=10, on_line=lines.append)
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
    named = NamedDevice(name="adb", address=f"adb://{SERIAL}", folder=FOLDER, onnxruntime=str(runtime_library()))
    document = profile_device(small_bundle(tmp_path / "small"), named, ProfileOptions(runs=12))
    assert document["runs"] == 12
    assert document["parity"]["max_abs_over_std"] < 1e-5
    assert left_behind(transport) == []
