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
            {"op": "Conv", "count": 30, "ms": 2.5, "interval": [2.4, 2.6], "n": 20, "share": 0.7},
            {"op": "EvDWT", "count": 5, "ms": 1, "share": 0.3},
        ],
        "placement": {"CPUExecutionProvider": 35},
        "energy_mj": None,
        "parity": {"max_abs_over_std": 3e-6, "tolerance": 1e-4, "reference": "PyTorch eager, float32"},
        "efficiency": efficiency(generator, median),
        **more,
    }


def efficiency(generator: np.random.Generator, median: float, count: int = 250) -> dict[str, Any]:
    """As many kernels as MobileMamba-T2 has, every third of them without arithmetic."""

    def sequence(n: int, factor: float) -> dict[str, Any]:
        ops = [0 if i % 3 == 0 else int(v) for i, v in enumerate(generator.integers(10_000, 30_000_000, n))]
        moved = [int(v * factor) for v in generator.integers(20_000, 4_000_000, n)]
        times = [max(o / 1e8, b / 1e7) for o, b in zip(ops, moved, strict=True)]
        rows = [
            {
                "name": f"kernel_{i}",
                "op": "Conv" if o else "Relu",
                "ops": o,
                "bytes": b,
                "under_water": o / b < 10,
                "ms": t,
            }
            for i, (o, b, t) in enumerate(zip(ops, moved, times, strict=True))
        ]
        under = sum(r["under_water"] for r in rows)
        return {
            "bytes": sum(moved), "attainable_ms": sum(times), "attainable_efficiency": 0.4, "under_water": under,
            "kernels": rows,
        }  # fmt: skip

    per_op = {"op": "Conv", "count": 30, "under_water": 12, "macs": 250_000_000, "bytes": 45_000_000}
    per_op |= {"ideal_ms": 1.25, "attainable_ms": 2.5, "ms": 2.5, "computational_efficiency": 0.5}
    lines = {"fp32": 10.0, "fp16": None, "int8": 40.0}
    return {
        "peaks": {"gemm_gops": {"fp32": 100.0, "fp16": None, "int8": 400.0}, "copy_gb_s": 10.0, "threads": 1,
                  "waterline_ops_per_byte": lines},
        "macs": 252_000_000,
        "ideal_ms": median / 2,
        "computational_efficiency": 0.5,
        "unfused": sequence(count, 1.0),
        "block_fused": sequence(count // 10, 0.5),
        "per_op": [per_op],
    }  # fmt: skip


def regression(*keys: str) -> dict[str, Any]:
    score = {"top1": 0.955, "top5": 0.99, "agreement": 0.98, "snr_db": 31.5}
    checks = [
        {
            "bundle": keys[1],
            "against": keys[0],
            "what": "top-1",
            "verdict": "pass",
            "said": "drop 0.2 pp of 0.5 allowed",
        },
        {
            "bundle": keys[1],
            "against": "baseline",
            "what": "top-1",
            "verdict": "inconclusive",
            "said": "too few images",
        },
    ]
    return {
        "verdict": "pass", "images": 1797, "data_sha256": "0", "labelled": True,
        "scores": {**dict.fromkeys(keys, score), keys[0]: {**score, "snr_db": None}}, "checks": checks,
    }  # fmt: skip


QUANTIZATION = {
    "scheme": "ort_x86", "gained": True, "mac_share": 0.93, "speed": {"ratio": 1.7, "interval": [1.6, 1.8]},
    "quantized": ["conv_1", "conv_2"], "declined": {"softplus": "it feeds the scan"},
    "decisions": [{"layer": "conv_1", "cost": 0.1, "gain": 0.4, "converted": True, "reason": "within the budget"}],
}  # fmt: skip


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
            quantization=None if precision != "int8" else QUANTIZATION,
            calibration=None if precision != "int8" else {"images": 100},
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
