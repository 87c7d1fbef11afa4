"""Packages of Debian's trixie unpacked into a folder: nothing is installed, and apt's own lists and state stay as they are.

The mirror is the one this machine already uses.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITE = "trixie"


class NoDebianError(Exception):
    """This machine has no apt, or its mirror does not answer; the message says what it said."""


def unpack(packages: Sequence[str], root: Path, *, arch: str, work: Path) -> None:
    """Unpack packages and all they depend on into `root`; `work` keeps the lists for the next call."""
    apt = _apt(arch, work / arch)
    for file in (work / arch / "archives").glob("*.deb"):
        file.unlink()
    _said([*apt, "--yes", "--download-only", "install", *packages])
    root.mkdir(parents=True, exist_ok=True)
    for file in sorted((work / arch / "archives").glob("*.deb")):
        _said(["dpkg-deb", "-x", str(file), str(root)])


def _apt(arch: str, work: Path) -> list[str]:
    """`apt-get` with state of its own for one architecture, its lists read."""
    for folder in ("lists/partial", "archives/partial"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    (work / "status").touch()
    (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} {SUITE} main\n")
    settings = {
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::Cache": work,
        "APT::Architecture": arch,
        "APT::Architectures": arch,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    apt = ["apt-get", "-q", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]
    if not any((work / "lists").glob("*Packages*")):
        _said([*apt, "update"])
    return apt


def _mirror() -> str:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise NoDebianError("apt-get or dpkg-deb is missing: this is no Debian")
    known = _said(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages", "Component: main"])
    found = [uri for uri in known.split() if uri.rstrip("/").endswith("/debian")]
    if not found:
        raise NoDebianError("no Debian archive is among this machine's apt sources")
    return found[0]


def _said(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise NoDebianError(f"{command[0]} failed: {done.stderr.strip()[-300:]}")
    return done.stdout
