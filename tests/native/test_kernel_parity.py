"""Every kernel, in every instruction set this machine has, against the operators' float64 references."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, SIMDS
from kernel_cases import cases
from kernel_node import feeds, model
from scan_cases import sequential

from edgevision import native
from edgevision.proof import difference


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nodes")
    for name, case in cases().items():
        (path / f"{name}.onnx").write_bytes(model(case.op, case.inputs, case.attributes))
        np.savez(path / f"{name}.npz", allow_pickle=False, **feeds(case.op, case.inputs))
    return path


@pytest.mark.parametrize("simd", SIMDS)
def test_every_kernel_is_its_reference(simd: str, simds: tuple[str, ...], library: Path, folder: Path) -> None:
    if simd not in simds:
        pytest.skip(f"this machine has no {simd} (test_driver.py emulates NEON where qemu is installed)")
    environment = {**os.environ, "EDGEVISION_SIMD": simd, native.VARIABLE: str(library), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(Path(__file__).with_name("run_nodes.py")), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == simd
    wrong = {}
    for name, case in cases().items():
        output = np.load(folder / f"{name}.out.npy")
        (folder / f"{name}.out.npy").unlink()
        distance = difference(case.wanted, output).max_abs_over_std
        if not distance <= case.tolerance:
            wrong[name] = (distance, case.tolerance)
    assert not wrong


def test_the_cases_see_the_recurrence() -> None:
    """Without its memory the scan is far outside the tolerance wherever there are several steps."""
    for name, case in cases().items():
        if case.op != "EvSelectiveScan" or case.wanted.shape[2] == 1:
            continue
        forgetful = sequential(case.inputs, case.attributes, recur=False)
        assert difference(case.wanted, forgetful).max_abs_over_std >= 10 * case.tolerance, name
