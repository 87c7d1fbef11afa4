"""A real sshd on loopback, from Debian's package unpacked under build/: nothing is installed, no configuration touched."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

BUILD = Path(__file__).resolve().parents[2] / "build" / "sshd"


@dataclass
class Sshd:
    """A running server. `config` is what `ssh -F` needs to reach it; `folder/small` is a full disk's place (as root)."""

    folder: Path
    port: int
    config: Path
    tmp: Path
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"ssh://127.0.0.1:{self.port}"

    def sessions(self) -> list[int]:
        """Processes of sshd that serve a connection."""
        found = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        pairs = [tuple(map(int, line.split())) for line in found.splitlines()]
        return [pid for pid, parent in pairs if parent == self.process.pid]

    def left(self, seconds: float = 20.0) -> list[str]:
        """What of ours is still there on the device: files of the work folders' place, and programs that sessions started.

        They are given some time to go; every session's environment names that place, and so does its programs'.
        """
        end = time.monotonic() + seconds
        while found := [*map(str, self.tmp.iterdir()), *self._programs()]:
            if time.monotonic() > end:
                break
            time.sleep(0.05)
        return found

    def _programs(self) -> list[str]:
        mark, found = f"TMPDIR={self.tmp}".encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has just ended
                if mark in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        return found

    def cut(self) -> None:
        """End every connection as a pulled cable would: their servers die without a word."""
        for pid in self.sessions():
            for child in _children(pid):
                if "sshd" in Path(f"/proc/{child}/comm").read_text():
                    os.kill(child, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)

    def new_host_key(self) -> None:
        key = self.folder / "host"
        key.unlink()
        _keygen(key)


def _children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(word) for word in found.split()]


def _program() -> Path:
    system = Path("/usr/sbin/sshd")
    if system.exists():
        return system
    program = BUILD / "root/usr/sbin/sshd"
    if program.exists():
        return program
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        pytest.skip("no sshd, and no apt-get to fetch Debian's with")
    BUILD.mkdir(parents=True, exist_ok=True)
    packages = ["openssh-server", "openssh-sftp-server", "libwrap0"]
    done = subprocess.run(["apt-get", "download", *packages], cwd=BUILD, capture_output=True, check=False, timeout=120)
    if done.returncode:
        pytest.skip("no sshd, and apt-get cannot download openssh-server (run apt-get update)")
    for package in BUILD.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(BUILD / "root")], check=True, timeout=60)
    return program


def _keygen(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _know(folder: Path, port: int) -> None:
    kind, key = (folder / "host.pub").read_text().split()[:2]
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")


def write_config(folder: Path, port: int, *, seen_from: str, extra: Sequence[str]) -> None:
    """Keys, the server's settings and the client's; `seen_from` is where the server finds `folder`."""
    (folder / "tmp").mkdir()
    for name in ("host", "id"):
        _keygen(folder / name)
    shutil.copy(folder / "id.pub", folder / "authorized_keys")
    _know(folder, port)
    settings = ["ListenAddress 127.0.0.1", f"Port {port}", f"HostKey {seen_from}/host", "UsePAM no", "StrictModes no"]
    settings += [f"AuthorizedKeysFile {seen_from}/authorized_keys", "PasswordAuthentication no", "MaxStartups 50"]
    settings += [f"PidFile {seen_from}/pid", *extra]
    (folder / "sshd_config").write_text("\n".join(settings) + "\n")
    client = [f"IdentityFile {folder}/id", "IdentitiesOnly yes", "IdentityAgent none", "GlobalKnownHostsFile /dev/null"]
    client += [f"UserKnownHostsFile {folder}/known_hosts"]
    (folder / "client_config").write_text("\n".join(client) + "\n")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server by its pid; `unshare` does not listen to the polite way."""
    process.terminate()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


@contextlib.contextmanager
def running_sshd(folder: Path, path: str = "") -> Iterator[Sshd]:
    """Start it, wait until it answers, stop it by its pid; `path` is the PATH of what runs there."""
    if shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no OpenSSH client")
    program, port = _program(), free_port()
    (folder / "small").mkdir()
    root = ["PermitRootLogin prohibit-password", f"SetEnv TMPDIR={folder / 'tmp'}" + (f" PATH={path}" if path else "")]
    write_config(folder, port, seen_from=str(folder), extra=root)
    process = _start(program, folder)
    try:
        wait_until_it_answers(port, process, folder)
        yield Sshd(folder, port, folder / "client_config", folder / "tmp", process)
    finally:
        stop(process)


def _start(program: Path, folder: Path) -> subprocess.Popen[bytes]:
    libraries = BUILD / "root/usr/lib/x86_64-linux-gnu"
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LD_LIBRARY_PATH": str(libraries)}
    command = [str(program), "-D", "-e", "-f", str(folder / "sshd_config")]
    if os.geteuid() == 0:
        # As root sshd wants its own user and /run/sshd: both are given in a mount namespace of its own.
        passwd = folder / "passwd"
        passwd.write_text(Path("/etc/passwd").read_text() + f"sshd:x:65533:65534::{folder}:/usr/sbin/nologin\n")
        script = 'mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && mount --bind "$0" /etc/passwd'
        script += f' && mount -t tmpfs -o size=64k tmpfs {folder}/small && exec "$@"'
        command = ["unshare", "-m", "sh", "-c", script, str(passwd), *command]
    log = (folder / "log").open("wb")
    with log:
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def wait_until_it_answers(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    for _ in range(100):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as link:
            if link.recv(4) == b"SSH-":
                return
        time.sleep(0.1)
    process.kill()
    pytest.skip(f"sshd does not start here: {(folder / 'log').read_text(errors='replace').strip()[-300:]}")
