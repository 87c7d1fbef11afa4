"""Single numbers beside the table: the core's peak, what the scan costs, how long a session takes to open."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from prepare import Prepared

import edgevision as ev
from edgevision import native
from edgevision.devices.ort_trace import op_times
from edgevision.targets.onnxruntime import OnnxRuntime

__all__ = ["facts", "gemm_peak"]

#: Nodes that are the scan or the wavelets; the channel norm behind the scan, which also sums its directions, is not.
SCAN_AND_WAVELET = {"EvSelectiveScan", "EvDWT", "EvIDWT", "EvWaveletConv", "EvProjectedScan"}


def facts(model: Prepared) -> dict[str, Any]:
    """What is measured on one model besides its latency, one thread."""
    artifact = model.kernels / ev.bundle.open_bundle(model.kernels).artifact["path"]
    opened = [_seconds_to_open(artifact) for _ in range(3)]
    per_op = _per_op(artifact, model)
    library = native.library_path()
    return {
        "gemm_gflops": gemm_peak(),
        "scan_and_wavelet_share": sum(row["share"] for row in per_op if row["op"] in SCAN_AND_WAVELET),
        "session_seconds": min(opened),
        "library_bytes": library.stat().st_size if library else None,
        "per_op": per_op,
    }


def gemm_peak(side: int = 768, runs: int = 25) -> float:
    """GFLOP/s of the best float32 matrix product of this core."""
    a, b = torch.rand(side, side), torch.rand(side, side)
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best / 1e9


def _seconds_to_open(path: Path) -> float:
    start = time.perf_counter()
    with OnnxRuntime(threads=1).load(path):
        return time.perf_counter() - start


def _per_op(path: Path, model: Prepared) -> Sequence[dict[str, Any]]:
    x = np.random.default_rng(0).standard_normal(model.shape, np.float32)
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        target = OnnxRuntime(threads=1, profile_to=str(Path(folder) / "trace"))
        with target.load(path) as runner:
            name = runner.inputs[0].name
        return op_times(target, path, {name: x}, runs=20)
