"""An aarch64 Linux reached over real ssh: Debian's sshd and ONNX Runtime's aarch64 library under qemu-user.

Everything in it is aarch64, the shell and each program it starts: the emulator is registered in a binfmt_misc of the
server's own user namespace (Linux 6.7 and later). No root is needed, and root is dropped where the tests have it.
Latencies under an emulator are no measurements: devices like this are declared `emulated`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prepare import DEVICES, NODES
from sshd import Sshd, free_port, stop, wait_until_it_answers, write_config

#: ONNX Runtime there.
LIBRARY = "/opt/libonnxruntime.so"
#: Whom the server runs as when the tests are root: nobody's number.
UID = 61234
MAGIC = rb"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = rb"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
ENTER = f"""set -e
root=$1 qemu=$2 session=$3; shift 3
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf %s ':qemu-aarch64:M::{MAGIC.decode()}:{MASK.decode()}:'"$qemu"':FP' >/proc/sys/fs/binfmt_misc/register
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --bind "$session" "$root/mnt"
mount --bind "$session/tmp" "$root/tmp"
for node in {" ".join(NODES)}; do mount --bind "/dev/$node" "$root/dev/$node"; done
exec unshare -U --map-user=1000 --map-group=1000 --root="$root" "$@"
"""


def stale(kernels: Path, runner: Path) -> str:
    """A source that changed after `make runner` built what is made of it; empty when none did."""
    plugins = Path(__file__).resolve().parents[2] / "plugins"
    for made, folder in ((kernels, plugins / "ort"), (runner, plugins / "runner")):
        sources = (s for s in folder.rglob("*") if s.suffix in {".cc", ".h"})
        newer = next((s for s in sources if s.stat().st_mtime > made.stat().st_mtime), None)
        if newer is not None:
            return str(newer.relative_to(plugins.parent))
    return ""


@contextlib.contextmanager
def running_arm64(folder: Path) -> Iterator[Sshd]:
    """Start it, wait until it answers, stop it with all that runs in it."""
    if not (DEVICES / "arm64").is_dir() or not (DEVICES / "qemu").is_file():
        pytest.skip("no aarch64 userland (make device-test prepares it)")
    if shutil.which("unshare") is None or shutil.which("ssh") is None:
        pytest.skip("unshare or the OpenSSH client is missing")
    port = free_port()
    write_config(folder, port, seen_from="/mnt", extra=["SetEnv TMPDIR=/tmp QEMU_CPU=cortex-a76"])
    command = ["unshare", "-Ur", "-m", "-p", "--fork", "--kill-child", "sh", "-c", ENTER, "sh"]
    command += [str(DEVICES / "arm64"), str(DEVICES / "qemu"), str(folder)]
    command += ["/usr/bin/env", "-i", "QEMU_CPU=cortex-a76", "PATH=/usr/bin:/bin", "/usr/sbin/sshd", "-D", "-e"]
    if os.geteuid() == 0:
        _give(folder)
        command = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *command]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "-f", "/mnt/sshd_config"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        wait_until_it_answers(port, process, folder)
        yield Sshd(folder, port, folder / "client_config", folder / "tmp", process)
    finally:
        stop(process)


def _give(folder: Path) -> None:
    """To the server's user; the client's key stays ours."""
    for path in (folder, *folder.rglob("*")):
        if path.name != "id":
            os.chown(path, UID, UID)
    parent = folder.parent
    while parent != parent.parent and parent.stat().st_uid == os.geteuid():
        parent.chmod(parent.stat().st_mode | 0o011)
        parent = parent.parent
