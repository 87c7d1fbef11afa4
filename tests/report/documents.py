"""Profile and manifest documents for the report's tests: the shape is the product's, the numbers are drawn."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.latency import judge, summarize
from edgevision.manifest import GraphInfo, Manifest, ModelInfo, Parity, Record, as_json


def profile(model: str, precision: str, device: str, *, median: float, runs: int = 100, **more: Any) -> dict[str, Any]:
    generator = np.random.default_rng(int(hashlib.sha256(f"{model}{precision}{device}".encode()).hexdigest()[:8], 16))
    latency = summarize([float(v) for v in median * (1 + 0.02 * generator.standard_gamma(2.0, runs))])
    verdict, reasons = judge(latency)
    return {
        "schema_version": 1,
        "bundle": {"model": model, "target": "ort", "precision": precision, "graph": f"{model}-{precision}"},
        "device": {"name": device, "kind": "ssh", "cpu": f"CPU of {device}", "emulated": False},
        "environment": {"before": {"governor": "performance", "load_1min": 0.1}, "after": {"temperature_c": 51.5}},
        "threads": 1,
        "runs": runs,
        "latency_ms": as_json(latency),
        "end_to_end_ms": None,
        "verdict": verdict,
        "reasons": list(reasons),
        "cold_start_ms": 431.0,
        "peak_memory_mib": 88.0,
        "per_op": [
            {"op": "Conv", "count": 30, "ms": 2.5, "share": 0.7},
            {"op": "EvDWT", "count": 5, "ms": 1, "share": 0.3},
        ],
        "placement": {"CPUExecutionProvider": 35},
        "energy_mj": None,
        "parity": {"max_abs_over_std": 3e-6, "tolerance": 1e-4, "reference": "PyTorch eager, float32"},
        **more,
    }


def manifest(model: str, precision: str) -> dict[str, Any]:
    merge = {"where": ["a", "b"], "equation": "affine_after_linear", "params_before": 90, "params_after": 80}
    merge |= {"macs_before": 10, "macs_after": 10, "nodes_before": 2, "nodes_after": 1}
    merge |= {"error_float64": 1e-15, "error_float32": 2e-7, "note": ""}
    document: dict[str, Any] = as_json(
        Manifest(
            model=ModelInfo(name=model, variant=model, params=80, input_shape=(1, 3, 8, 8), weights={"source": "file"}),
            target={"name": "ort", "precision": precision, "options": {}},
            graph=GraphInfo(path="model.onnx", sha256=f"{model}-{precision}", nodes=12, opset=20, custom_ops={}),
            artifact={"path": "model.onnx", "bytes": 1234},
            stages=[Record(name="capture", seconds=1.5, max_abs_over_std=2e-6)],
            parity=_parity(),
            reparam={"applied": [merge], "declined": []},
            warnings=["random weights"],
        )
    )
    return document


def _parity() -> Parity:
    return Parity(
        status="verified", reference="eager", samples=4, max_abs_over_std=2e-6, relative_l2_error=1e-6, tolerance=1e-4
    )


def write(folder: Path, *documents: dict[str, Any]) -> list[Path]:
    paths = [folder / f"{index}.json" for index in range(len(documents))]
    for path, document in zip(paths, documents, strict=True):
        path.write_text(json.dumps(document), encoding="utf-8")
    return paths
