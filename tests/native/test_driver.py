"""The kernels without ONNX Runtime: accuracy of exp and softplus, sanitizers, NEON in an emulator."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from conftest import SIMDS, build

DRIVER = "edgevision_driver"
CROSS = "aarch64-linux-gnu-g++"
EMULATOR = ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu")


@cache
def driver(name: str, *options: str) -> str:
    return str(build(name, DRIVER, *options) / "ort" / DRIVER)


def run(command: Sequence[str], simd: str = "") -> str:
    environment = {**os.environ, "EDGEVISION_SIMD": simd}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
    if done.returncode and "names an instruction set that this CPU" in done.stderr:
        pytest.skip(f"this machine has no {simd}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert simd in done.stdout
    return done.stdout


@pytest.mark.parametrize("simd", SIMDS)
def test_exp_and_softplus_over_all_floats(simd: str) -> None:
    """1e-6 relative, one unit in the last place for denormals, infinities and NaN as the C library's."""
    assert "relative" in run([driver("native"), "math", "4099"], simd)


def test_sizes_no_kernel_can_index_are_refused() -> None:
    assert "refused" in run([driver("native"), "refuse"])


@pytest.mark.slow
@pytest.mark.parametrize("simd", SIMDS)
def test_a_thousand_runs_under_sanitizers(simd: str) -> None:
    """Random shapes, zero sizes and lone steps among them, in buffers of exactly their size at any alignment."""
    if simd == "neon" or platform.machine() != "x86_64":
        pytest.skip("run on x86-64, in its three instruction sets")
    assert "350 runs" in run([driver("native-sanitized", "-DEDGEVISION_SANITIZE=ON"), "fuzz", "350"], simd)


@pytest.mark.skipif(
    shutil.which(CROSS) is None or shutil.which(EMULATOR[0]) is None,
    reason=f"needs {CROSS} and {EMULATOR[0]} (on Debian: g++-aarch64-linux-gnu, qemu-user)",
)
@pytest.mark.parametrize("simd", ["neon", "scalar"])
def test_neon_in_an_emulator(simd: str) -> None:
    options = ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", f"-DCMAKE_CXX_COMPILER={CROSS}"]
    emulated = [*EMULATOR, driver("native-neon", *options)]
    assert "agree" in run([*emulated, "fuzz", "60"], simd)
    assert "relative" in run([*emulated, "math", "40009"], simd)


def test_the_driver_notices_a_wrong_instruction_set(tmp_path: Path) -> None:
    environment = {**os.environ, "EDGEVISION_SIMD": "mmx"}
    done = subprocess.run(
        [driver("native"), "refuse"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "avx512 or neon" in done.stderr
