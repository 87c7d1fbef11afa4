"""What the device tests start, made under build/devices by `make device-test`: about 250 MB, from Debian and PyPI.

arm64/   an aarch64 userland (trixie) with sshd and ONNX Runtime's aarch64 library
qemu     its emulator
adbd/    Android's adbd as Debian builds it, with the C library it needs
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from debian import unpack

DEVICES = Path(__file__).resolve().parents[2] / "build" / "devices"
#: /dev of the userland: the host's nodes are mounted over these.
NODES = ("null", "zero", "full", "random", "urandom", "tty")


def prepare(folder: Path) -> None:
    """Make whatever is missing; each part appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in (("qemu", _qemu), ("arm64", _arm64), ("adbd", _adbd)):
        if not (folder / name).exists():
            print(f"preparing {folder / name}", flush=True)  # noqa: T201
            with tempfile.TemporaryDirectory(dir=folder) as part:
                make(Path(part) / name, folder / "apt")
                (Path(part) / name).rename(folder / name)


def _qemu(target: Path, apt: Path) -> None:
    with tempfile.TemporaryDirectory(dir=apt.parent) as root:
        unpack(["qemu-user"], Path(root), arch="amd64", work=apt)
        shutil.move(Path(root) / "usr/bin/qemu-aarch64", target)


def _arm64(root: Path, apt: Path) -> None:
    unpack(["openssh-server", "dash", "coreutils", "sed", "grep", "libstdc++6"], root, arch="arm64", work=apt)
    for name in ("bin", "sbin", "lib"):
        (root / name).symlink_to(f"usr/{name}")
    for name in ("proc", "sys", "dev", "tmp", "mnt", "opt", "etc"):
        (root / name).mkdir(exist_ok=True)
    for name in NODES:
        (root / "dev" / name).touch()
    (root / "etc/passwd").write_text("device:x:1000:1000:device:/tmp:/bin/sh\n")
    (root / "etc/group").write_text("device:x:1000:\n")
    _onnxruntime(root / "opt")


def _onnxruntime(target: Path) -> None:
    """The library inside PyPI's aarch64 wheel; it needs no Python."""
    wanted = f"onnxruntime=={importlib.metadata.version('onnxruntime')}"
    options = ["--only-binary=:all:", "--platform", "manylinux_2_28_aarch64", "--implementation", "cp"]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    options += ["--python-version", version, "--abi", f"cp{version.replace('.', '')}"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *options, "-d", folder, wanted]
        subprocess.run(command, check=True, timeout=600)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (n for n in archive.namelist() if n.startswith("onnxruntime/capi/libonnxruntime.so"))
            (target / "libonnxruntime.so").write_bytes(archive.read(name))


def _adbd(root: Path, apt: Path) -> None:
    unpack(["adbd"], root, arch="amd64", work=apt)


if __name__ == "__main__":
    prepare(DEVICES)
