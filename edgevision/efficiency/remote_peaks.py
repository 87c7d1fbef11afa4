"""Peaks of a device that the runner reaches: the same matrix products and the same copy, measured there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from edgevision.devices.device import Device
from edgevision.devices.kit import Kit, push_kit
from edgevision.devices.local import ProfileOptions
from edgevision.devices.runner import Told
from edgevision.efficiency.peaks import COPY_MIB, GEMM_OPS, PRECISIONS, Peaks, gemm_feed, gemm_model
from edgevision.errors import DeviceError
from edgevision.stages.samples import Samples

__all__ = ["remote_peaks"]

#: Seconds one product may take there with all its runs.
LONGEST = 120.0
#: The runner's exit code for a model that its ONNX Runtime refuses.
REFUSED = 65


def remote_peaks(device: Device, kit: Kit, threads: int, folder: Path) -> Peaks:
    """Measure on an open device; `folder` is a place here.

    Raises:
        DeviceError: the device has no float32 product, or not the memory for the copy.
    """
    gops: dict[str, float | None] = {}
    copy_gb_s = None
    for precision in PRECISIONS:
        copies: list[float] = []
        fastest = _fastest(device, kit, precision, threads, folder, copies)
        gops[precision] = GEMM_OPS / fastest / 1e9 if fastest else None
        copy_gb_s = copy_gb_s or max(copies, default=None)
    if not gops["fp32"] or not copy_gb_s:
        raise DeviceError(device.name, "its peaks could not be measured", "leave --per-op out")
    return Peaks(gemm_gops=gops, copy_gb_s=copy_gb_s, threads=threads)


def _fastest(device: Device, kit: Kit, precision: str, threads: int, folder: Path, copies: list[float]) -> float | None:
    """Seconds of the fastest product, None where the runtime there has none; fills `copies` (1e9 bytes a second)."""
    gemm_model(folder / f"gemm_{precision}.onnx", precision)
    product = replace(kit, model=folder / f"gemm_{precision}.onnx", pushed=[])
    push_kit(device, product, Samples(feeds=[{"a": gemm_feed(precision)}], outputs=[[]], reference=""), folder)
    told = Told()

    def on_line(line: str) -> None:
        told.line(line)
        if '"copy"' in line:
            event = json.loads(line)
            copies.append(event["bytes"] / event["ns"])

    command = product.command(ProfileOptions(threads=threads, runs=20))
    copy = ["--copy", str(COPY_MIB)] if precision == "fp32" else []
    finished = device.run([*command, *copy], seconds=LONGEST, on_line=on_line)
    if finished.code not in (0, REFUSED):
        raise DeviceError(
            device.name, f"a matrix product failed there ({finished.errors.strip()})", "leave --per-op out"
        )
    return min(told.samples) / 1e3 if told.samples else None
