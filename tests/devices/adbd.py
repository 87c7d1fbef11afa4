"""A real adbd on loopback: Debian's build of Android's, with the C library it needs, started through that library's loader.

It asks for no authorisation, as a phone would. The adb server is a private one, on a port and with a home of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prepare import DEVICES
from sshd import free_port, stop

LIBRARIES = "usr/lib/x86_64-linux-gnu"


@dataclass
class Adbd:
    """A running daemon; `environment` is what the adb client needs to reach the private server."""

    folder: Path
    port: int
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def base(self) -> str:
        """Where work folders go: there is no /data/local/tmp here."""
        return str(self.folder / "tmp")

    @property
    def tools(self) -> Path:
        """First in the PATH of what runs there."""
        return self.folder / "tools"

    def adb(self, *words: str) -> str:
        environment = {**os.environ, **self.environment}
        done = subprocess.run(["adb", *words], env=environment, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr

    def kill(self) -> None:
        """As a phone that is switched off."""
        self.process.kill()
        self.process.wait(10)

    def restart(self) -> None:
        self.process = _start(self.folder, self.port)
        self.adb("disconnect", self.serial)
        _connect(self)


@contextlib.contextmanager
def running_adbd(folder: Path) -> Iterator[Adbd]:
    """Start it and connect; stop it and its adb server."""
    if not (DEVICES / "adbd").is_dir():
        pytest.skip("no adbd (make device-test prepares it)")
    for program in ("adb", "cc"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    for name in ("tmp", "tools"):
        (folder / name).mkdir()
    shim = ["cc", "-O1", "-shared", "-fPIC", "-o", str(folder / "loopback.so")]
    subprocess.run([*shim, str(Path(__file__).with_name("loopback.c")), "-ldl"], check=True, timeout=60)
    port = free_port()
    while 5500 <= port < 5700:  # adb's server looks for emulators there by itself
        port = free_port()
    environment = {"ANDROID_ADB_SERVER_PORT": str(free_port()), "ADB_MDNS": "0", "HOME": str(folder)}
    running = Adbd(folder, port, environment, _start(folder, port))
    try:
        _connect(running)
        yield running
    finally:
        running.adb("kill-server")
        stop(running.process)


def _start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    root = DEVICES / "adbd"
    libraries = root / LIBRARIES
    command = [str(libraries / "ld-linux-x86-64.so.2"), "--preload", str(folder / "loopback.so")]
    command += ["--library-path", f"{libraries / 'android'}:{libraries}"]
    command += [str(root / "usr/lib/android-sdk/platform-tools/adbd")]
    environment = {"PATH": f"{folder / 'tools'}:/usr/bin:/bin", "HOME": str(folder), "ADBD_PORT": str(port)}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _connect(running: Adbd) -> None:
    said = ""
    for _ in range(50):
        said = running.adb("connect", running.serial)
        if "connected to" in said and "device" in running.adb("-s", running.serial, "get-state"):
            return
        time.sleep(0.2)
    log = (running.folder / "log").read_text(errors="replace")[-200:]
    pytest.skip(f"adbd does not answer here: {said.strip()} {log}")
