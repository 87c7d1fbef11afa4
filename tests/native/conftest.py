"""The kernel library and its driver, built once for all tests that need them, or a reason why they cannot be."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from workspace import ROOT, alone

from edgevision import native

# The operators' tests keep the hard inputs of the scan and the filters of the wavelets; the kernels face the same.
sys.path.insert(0, str(ROOT / "tests" / "ops"))


def build(name: str, target: str, *options: str) -> Path:
    """A folder with `target` built in it: build/<name>, or without `options` that of the installation.

    Skips the test when there is nothing to build with.
    """
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    installed = None if options else _of_the_installation()
    folder = installed or ROOT / "build" / name
    configure = ["cmake", "-S", str(ROOT / "plugins"), "-B", str(folder), *options]
    make = ["cmake", "--build", str(folder), "--parallel", "2", "--target", target]
    with alone("native" if installed else name):
        for command in [make] if installed else [configure, make]:
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
            reason = next((line for line in done.stdout.splitlines() if "kernels not built" in line), None)
            if reason and target == "edgevision_ops":
                pytest.skip(reason)
            assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _of_the_installation() -> Path | None:
    """Where pip has built this checkout, if what it built with is still there: no kernel is compiled twice."""
    for cache in (ROOT / "build").glob("py3-*/CMakeCache.txt"):
        program = re.search(r"^CMAKE_MAKE_PROGRAM:\w+=(.+)$", cache.read_text(), re.MULTILINE)
        if program and Path(program[1]).is_file() and (cache.parent / native.LIBRARY).is_file():
            return cache.parent
    return None


@pytest.fixture(scope="session")
def library() -> Path:
    """The kernel library of this checkout, whatever may be installed."""
    return build("native", "edgevision_ops") / native.LIBRARY


@pytest.fixture
def registered(library: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`native.register` uses this checkout's library."""
    monkeypatch.setenv(native.VARIABLE, str(library))
    return library


@pytest.fixture(scope="session")
def simds(library: Path) -> tuple[str, ...]:
    """The instruction sets this machine has, asked of the library itself."""
    program = "from edgevision import native; print(native.simd())"

    def runs(simd: str) -> bool:
        environment = {**os.environ, "EDGEVISION_SIMD": simd, native.VARIABLE: str(library)}
        command = [sys.executable, "-c", program]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout.strip() == simd

    return tuple(simd for simd in SIMDS if runs(simd))


SIMDS = ("avx512_vbmi", "avx512", "avx2", "neon", "scalar")
