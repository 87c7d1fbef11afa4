"""A device behind a real sshd: what arrives, what is left behind, and which fault is told from which."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sshd import Sshd, running_sshd

from edgevision.devices.device import DeviceLostError
from edgevision.devices.remote import RemoteDevice
from edgevision.devices.ssh import SshTransport
from edgevision.errors import DeviceError


def transport(server: Sshd, **more: str) -> SshTransport:
    return SshTransport(host="127.0.0.1", port=server.port, config=str(server.config), **more)


@pytest.fixture
def device(server: Sshd) -> Iterator[RemoteDevice]:
    with RemoteDevice("loopback", transport(server)) as opened:
        yield opened
    assert server.left() == []


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)


def alive(pid: str) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_probe_names_the_machine(device: RemoteDevice) -> None:
    found = device.probe()
    assert found["arch"] == os.uname().machine
    assert found["kernel"].startswith("Linux ")


def test_run_streams_lines_and_tells_how_it_ended(device: RemoteDevice) -> None:
    lines: list[str] = []
    finished = device.run(["sh", "-c", "echo one; echo two; echo wrong >&2; exit 42"], seconds=10, on_line=lines.append)
    assert lines == ["one", "two"]
    assert (finished.code, finished.signal, finished.errors.strip()) == (42, None, "wrong")
    killed = device.run(["sh", "-c", "kill -SEGV $$"], seconds=10, on_line=lines.append)
    assert killed.signal == 11


def test_files_arrive_whole_and_come_back(device: RemoteDevice, tmp_path: Path) -> None:
    for number, content in enumerate((b"", b"\n", b"no end", bytes(range(256)) * 5000, b"edgevision-end-0=0\n")):
        source, back = tmp_path / f"in{number}", tmp_path / f"out{number}"
        source.write_bytes(content)
        device.push(source, "file")
        device.pull("file", back)
        assert back.read_bytes() == content
    with pytest.raises(DeviceError, match="cannot be read"):
        device.pull("absent", tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_metacharacters_are_arguments_only(device: RemoteDevice, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    hostile = [
        f"$(touch {witness})",
        f"`touch {witness}`",
        f"; touch {witness}",
        "'\"\\ \t*",
        f"a\ntouch {witness}",
        "-n",
    ]
    lines: list[str] = []
    device.run(["printf", "[%s]", *hostile], seconds=10, on_line=lines.append)
    assert "\n".join(lines) == "".join(f"[{word}]" for word in hostile)
    assert not witness.exists()
    with pytest.raises(DeviceError, match="plain file name"):
        device.push(Path(__file__), f"x; touch {witness}")


def test_a_hang_is_ended_on_the_device(device: RemoteDevice) -> None:
    lines: list[str] = []
    with pytest.raises(DeviceError, match="longer than 1 s") as caught:
        device.run(["sh", "-c", "echo $$; exec sleep 600"], seconds=1, on_line=lines.append)
    assert not isinstance(caught.value, DeviceLostError)
    eventually(lambda: not alive(lines[0]))


def test_cut_connection_loses_no_line_and_leaves_nothing(server: Sshd) -> None:
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        if len(lines) == 3:
            threading.Thread(target=server.cut).start()

    script = "echo $$; echo sample 1; echo sample 2; exec sleep 600"
    device = RemoteDevice("loopback", transport(server))
    with pytest.raises(DeviceLostError, match="lost"):
        device.run(["sh", "-c", script], seconds=100, on_line=on_line)
    device.close()
    assert lines[1:] == ["sample 1", "sample 2"]
    assert server.left() == []
    assert not alive(lines[0])
    with RemoteDevice("loopback", transport(server)) as restored:
        assert restored.probe()["arch"]


def test_two_sessions_exclude_each_other(server: Sshd, device: RemoteDevice) -> None:
    with pytest.raises(DeviceError, match="another profile is using it"):
        RemoteDevice("loopback", transport(server))
    assert device.probe()["arch"]


def test_lock_of_a_dead_session_is_taken(server: Sshd) -> None:
    lock = server.tmp / "edgevision.lock"
    lock.mkdir()
    (lock / "pid").write_text("4194305\n")  # above the largest pid there is
    with RemoteDevice("loopback", transport(server)) as device:
        assert device.probe()["arch"]


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk can be mounted by root only")
def test_full_disk_is_told(server: Sshd, tmp_path: Path) -> None:
    source = tmp_path / "big"
    source.write_bytes(b"x" * 300_000)
    with (
        RemoteDevice("loopback", transport(server, base=str(server.folder / "small"))) as device,
        pytest.raises(DeviceError, match="No space left on device") as caught,
    ):
        device.push(source, "big")
    assert "big cannot be written" in str(caught.value)


def test_unwritable_base_is_told(server: Sshd) -> None:
    with pytest.raises(DeviceError, match="no folder can be made in /proc"):
        RemoteDevice("loopback", transport(server, base="/proc"))


def test_changed_host_key_is_refused(tmp_path: Path) -> None:
    with running_sshd(tmp_path) as server:
        RemoteDevice("loopback", transport(server)).close()
        server.new_host_key()
        server.process.send_signal(1)  # reads its keys again
        time.sleep(1)
        with pytest.raises(DeviceError, match="host key has changed") as caught:
            RemoteDevice("loopback", transport(server))
        assert "ssh-keygen -R" in caught.value.mend
        (tmp_path / "known_hosts").write_text("")
        with pytest.raises(DeviceError, match="host key is not known"):
            RemoteDevice("loopback", transport(server))


def test_nothing_listens(server: Sshd) -> None:
    nowhere = SshTransport(host="127.0.0.1", port=9, config=str(server.config))
    with pytest.raises(DeviceError, match="nothing listens there"):
        RemoteDevice("nowhere", nowhere)
