"""The kernel library and its driver, built once for all tests that need them, or a reason why they cannot be."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgevision import native

ROOT = Path(__file__).resolve().parents[2]
# The operators' tests keep the hard inputs of the scan and the filters of the wavelets; the kernels face the same.
sys.path.insert(0, str(ROOT / "tests" / "ops"))


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Parallel test workers share the build folder."""
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(name: str, target: str, *options: str) -> Path:
    """The folder build/<name> with `target` built in it; skips the test when there is nothing to build with."""
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    folder = ROOT / "build" / name
    with _alone(name):
        for command in (
            ["cmake", "-S", str(ROOT / "plugins"), "-B", str(folder), *options],
            ["cmake", "--build", str(folder), "--parallel", "2", "--target", target],
        ):
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
            reason = next((line for line in done.stdout.splitlines() if "kernels not built" in line), None)
            if reason and target == "edgevision_ops":
                pytest.skip(reason)
            assert done.returncode == 0, done.stdout + done.stderr
    return folder


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
