"""Ranges of a graph's tensors over a calibration set, from the cache where graph, data and method are the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from edgevision.cache import Cache, stage_key
from edgevision.calibration.calibrators import Method, Range, calibrated
from edgevision.calibration.examine import Examined
from edgevision.calibration.source import Source
from edgevision.hashing import model_sha256
from edgevision.quantize.observe import observe

__all__ = ["calibrate"]

FILE = "ranges.json"


def calibrate(
    model: ir.Model,
    tensors: Sequence[str],
    source: Source,
    examined: Examined,
    method: Method,
    *,
    symmetric: bool,
    limit: int | None,
    cache: Cache,
    report: Callable[[str], None],
) -> dict[str, Range]:
    """The range of each tensor of `model` over the examined images of `source`."""
    inputs: Mapping[str, Any] = {
        "graph": model_sha256(model),
        "data": examined.sha256,
        "tensors": sorted(tensors),
        "method": method,
        "symmetric": symmetric,
    }
    key = stage_key("calibrate", inputs)
    kept = cache.get(key)
    if kept is not None:
        try:
            rows = json.loads((kept / FILE).read_text(encoding="utf-8"))
            return {name: Range(low=low, high=high) for name, (low, high) in rows.items()}
        except (OSError, ValueError, TypeError):
            cache.drop(key)
    every = max(1, examined.images // 10)
    histograms = observe(
        model,
        tensors,
        source,
        limit,
        lambda seen: report(f"calibrate {seen}/{examined.images}") if seen % every == 0 else None,
    )
    ranges = {name: calibrated(h, method, symmetric=symmetric) for name, h in histograms.items()}
    document = json.dumps({name: (r.low, r.high) for name, r in ranges.items()})
    cache.put(key, lambda folder: (folder / FILE).write_text(document, encoding="utf-8") and None)
    return ranges
