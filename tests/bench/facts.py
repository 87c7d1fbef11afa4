"""Single numbers beside the table: the core's peak, what the scan costs, how long a session takes to open."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import Prepared

from edgevision import native
from edgevision.bundle import open_bundle
from edgevision.devices.ort_trace import trace
from edgevision.targets.onnxruntime import OnnxRuntime

__all__ = ["facts"]

#: Nodes that are the scan or the wavelets; the channel norm behind the scan, which also sums its directions, is not.
SCAN_AND_WAVELET = {"EvSelectiveScan", "EvDWT", "EvIDWT", "EvWaveletConv", "EvProjectedScan"}


def facts(model: Prepared) -> dict[str, Any]:
    """What is measured on one model besides its latency, one thread."""
    artifact = model.kernels / open_bundle(model.kernels).artifact["path"]
    opened = [_seconds_to_open(artifact) for _ in range(3)]
    per_op = _per_op(artifact, model)
    library = native.library_path()
    least, peak = _least_and_peak(artifact, model)
    return {
        "least": least,
        "gemm_gflops": peak,
        "scan_and_wavelet_share": sum(row["share"] for row in per_op if row["op"] in SCAN_AND_WAVELET),
        "session_seconds": min(opened),
        "library_bytes": library.stat().st_size if library else None,
        "per_op": per_op,
    }


def _least_and_peak(path: Path, model: Prepared, rounds: int = 30, side: int = 768) -> tuple[float, float]:
    """Fewest milliseconds of one run, and GFLOP/s of this core's best float32 matrix product, in turn: one clock."""
    a, b = torch.rand(side, side), torch.rand(side, side)
    x = np.random.default_rng(0).standard_normal(model.shape, np.float32)
    least = product = float("inf")
    with OnnxRuntime(threads=1).load(path) as runner:
        for _ in range(rounds):
            for _ in range(4):
                least = min(least, _seconds(lambda: runner(x)))
                product = min(product, _seconds(lambda: a @ b))
    return least * 1e3, 2 * side**3 / product / 1e9


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


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
        return trace(target, path, {name: x}, runs=20).per_op
