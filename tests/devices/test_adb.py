"""adb behind a stand-in for its client that keeps its bad habits: it always ends with 0, also when the device is lost.

The stand-in runs the script on this machine; a real adbd is not started by these tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevision.devices.adb import AdbTransport
from edgevision.devices.device import DeviceLostError
from edgevision.devices.remote import RemoteDevice
from edgevision.errors import DeviceError

CLIENT = """#!/bin/sh
[ "$1 $3 $4" = "-s shell -T" ] || exit 64
[ "$2" = phone ] || { echo "adb: device '$2' not found" >&2; exit 0; }
case $5 in *lose-me*) echo partial; exit 0;; esac
sh -c "$5"
exit 0
"""


@pytest.fixture
def transport(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AdbTransport:
    (tmp_path / "bin").mkdir()
    client = tmp_path / "bin" / "adb"
    client.write_text(CLIENT)
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}:/usr/bin:/bin")
    (tmp_path / "device").mkdir()
    return AdbTransport(serial="phone", base=str(tmp_path / "device"))


def test_exit_codes_come_from_the_trailer(transport: AdbTransport, tmp_path: Path) -> None:
    with RemoteDevice("phone", transport) as device:
        lines: list[str] = []
        assert device.run(["sh", "-c", "echo a b; exit 7"], seconds=10, on_line=lines.append).code == 7
        assert lines == ["a b"]
        device.push(Path(__file__), "file")
        device.pull("file", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == Path(__file__).read_bytes()
    assert list((tmp_path / "device").iterdir()) == []


def test_lost_device_is_not_taken_for_success(transport: AdbTransport) -> None:
    lines: list[str] = []
    with RemoteDevice("phone", transport) as device, pytest.raises(DeviceLostError):
        device.run(["echo", "lose-me"], seconds=10, on_line=lines.append)
    assert lines == ["partial"]


def test_missing_serial_and_missing_adb(transport: AdbTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="no device of this serial"):
        RemoteDevice("tablet", AdbTransport(serial="tablet", base=transport.base))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeviceError, match="adb is missing here"):
        RemoteDevice("phone", transport)


@pytest.mark.parametrize(
    ("said", "reason"),
    [  # what adb 29 and 36 print
        ("adb: more than one device/emulator", "several devices answer"),
        ("adb: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set", "has not allowed this computer"),
        ("adb: device offline", "it is offline"),
        ("adb: no devices/emulators found", "there is no device"),
        ("* cannot connect to daemon at tcp:5037: Connection refused", "adb's server does not run"),
    ],
)
def test_adbs_own_words_are_explained(transport: AdbTransport, tmp_path: Path, said: str, reason: str) -> None:
    (tmp_path / "bin" / "adb").write_text(f'#!/bin/sh\ncat >&2 <<"END"\n{said}\nEND\nexit 1\n')
    with pytest.raises(DeviceError, match=reason) as caught:
        RemoteDevice("phone", transport)
    assert caught.value.mend


def test_a_device_without_the_tools(transport: AdbTransport, tmp_path: Path) -> None:
    """A minimal sh with nothing but cat, mkdir, mktemp and rm beside it."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("cat", "mkdir", "mktemp", "rm"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    client = CLIENT.replace('sh -c "$5"', f'PATH={tools} /bin/sh -c "$5"')
    (tmp_path / "bin" / "adb").write_text(client)
    with pytest.raises(DeviceError, match="has no `timeout`") as caught:
        RemoteDevice("phone", transport)
    assert "toybox" in caught.value.mend
