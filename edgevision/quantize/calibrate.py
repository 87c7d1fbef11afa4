"""Ranges of a graph's tensors over a calibration set, from the cache where graph, data and method are the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from edgevision.cache import Cache, stage_key
from edgevision.calibration.calibrators import Method, Range, calibrated
from edgevision.calibration.examine import Examined
from edgevision.calibration.source import Source
from edgevision.hashing import model_sha256
from edgevision.quantize.observe import observe
from edgevision.quantize.progress import Progress

__all__ = ["CalibrationSet", "calibrate"]

FILE = "ranges.json"


@dataclass(frozen=True, kw_only=True)
class CalibrationSet:
    """An examined source, how many of its images are used, and the rule that makes ranges of them."""

    source: Source
    examined: Examined
    method: Method
    limit: int | None


def calibrate(
    model: ir.Model,
    tensors: Sequence[str],
    data: CalibrationSet,
    *,
    symmetric: bool,
    cache: Cache,
    report: Callable[[str], None],
) -> dict[str, Range]:
    """The range of each tensor of `model` over the calibration set."""
    seen = {"graph": model_sha256(model), "data": data.examined.sha256, "tensors": sorted(tensors)}
    key = stage_key("calibrate", {**seen, "method": data.method, "symmetric": symmetric})
    kept = cache.get(key)
    if kept is not None:
        ranges = _read(kept / FILE)
        if ranges is not None:
            return ranges
        cache.drop(key)
    progress = Progress(cache=cache, key=stage_key("calibrating", seen))
    every = max(1, data.examined.images // 10)
    histograms = observe(
        model,
        tensors,
        data.source,
        data.limit,
        lambda images: report(f"calibrate {images}/{data.examined.images}") if images % every == 0 else None,
        progress,
    )
    ranges = {name: calibrated(h, data.method, symmetric=symmetric) for name, h in histograms.items()}
    cache.put(key, lambda folder: _write(folder / FILE, ranges))
    progress.forget()
    return ranges


def _write(path: Path, ranges: dict[str, Range]) -> None:
    path.write_text(json.dumps({name: (r.low, r.high) for name, r in ranges.items()}), encoding="utf-8")


def _read(path: Path) -> dict[str, Range] | None:
    """Ranges kept earlier; None when the file is damaged, or went while we looked."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {name: Range(low=low, high=high) for name, (low, high) in rows.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None
