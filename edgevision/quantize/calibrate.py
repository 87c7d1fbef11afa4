"""Ranges of a graph's tensors over a calibration set, from the cache where graph, data and method are the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx_ir as ir

from edgevision.cache import Cache, stage_key
from edgevision.calibration.calibrators import CANDIDATES, Method, Range, calibrated
from edgevision.calibration.examine import Examined
from edgevision.calibration.source import Source
from edgevision.hashing import model_sha256
from edgevision.quantize.observe import observe
from edgevision.quantize.progress import Progress

__all__ = ["CalibrationSet", "calibrate"]

FILE = "ranges.json"


@dataclass(frozen=True, kw_only=True)
class CalibrationSet:
    """An examined source, how many of its images are used, and the rule that makes ranges of them.

    `method` None tries several, of which the one with the least noise is taken.
    """

    source: Source
    examined: Examined
    method: Method | None
    limit: int | None

    @property
    def methods(self) -> tuple[Method, ...]:
        """The rules to be tried."""
        return CANDIDATES if self.method is None else (self.method,)


def calibrate(
    model: ir.Model,
    tensors: Sequence[str],
    data: CalibrationSet,
    *,
    symmetric: bool,
    cache: Cache,
    report: Callable[[str], None],
) -> dict[Method, dict[str, Range]]:
    """The range of each tensor of `model` over the calibration set, by each of its methods: one run serves all."""
    seen = {"graph": model_sha256(model), "data": data.examined.sha256, "tensors": sorted(tensors)}
    keys = {m: stage_key("calibrate", {**seen, "method": m, "symmetric": symmetric}) for m in data.methods}
    kept = {method: _kept(cache, key) for method, key in keys.items()}
    found = {method: ranges for method, ranges in kept.items() if ranges is not None}
    if len(found) == len(keys):
        return found
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
    for method in keys.keys() - found.keys():
        found[method] = {name: calibrated(h, method, symmetric=symmetric) for name, h in histograms.items()}
        cache.put(keys[method], partial(_write, found[method]))
    progress.forget()
    return {method: found[method] for method in data.methods}


def _write(ranges: dict[str, Range], folder: Path) -> None:
    text = json.dumps({name: (r.low, r.high) for name, r in ranges.items()})
    (folder / FILE).write_text(text, encoding="utf-8")


def _kept(cache: Cache, key: str) -> dict[str, Range] | None:
    kept = cache.get(key)
    if kept is None:
        return None
    ranges = _read(kept / FILE)
    if ranges is None:
        cache.drop(key)
    return ranges


def _read(path: Path) -> dict[str, Range] | None:
    """Ranges kept earlier; None when the file is damaged, or went while we looked."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {name: Range(low=low, high=high) for name, (low, high) in rows.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None
