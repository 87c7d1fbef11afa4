"""Quantizing a test network in one call, and running it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from small_nets import pictures

from edgevision.calibration.calibrators import calibrated
from edgevision.quantize.insert import insert
from edgevision.quantize.observe import observe
from edgevision.quantize.plan import Plan, make_plan
from edgevision.quantize.scheme import Scheme
from edgevision.targets.onnxruntime.lowering import lower_integers
from edgevision.targets.reference import Reference


def quantized(model: ir.Model, scheme: Scheme) -> tuple[ir.Model, Plan]:
    copy = model.clone()
    plan = make_plan(copy, scheme)
    seen = observe(model, [str(v.name) for v in plan.tensors], pictures())
    symmetric = scheme.activations.symmetric
    insert(copy, plan, scheme, {k: calibrated(h, "min-max", symmetric=symmetric) for k, h in seen.items()}, "min-max")
    return copy, plan


def run(model: ir.Model, feed: NDArray[np.float32], folder: Path) -> NDArray[np.float32]:
    path = folder / "run.onnx"
    ir.save(model, path)
    with Reference().load(path) as runner:
        return runner(feed)[0]


def plant_scale(bundle: Path, tensor: str) -> None:
    """The scale of `tensor` eight times too small, in the portable graph and in what ONNX Runtime's form makes of it."""
    model = ir.load(bundle / "model.onnx")
    scale = model.graph.initializers[f"{tensor}_scale"]
    assert scale.const_value is not None
    scale.const_value = ir.tensor(np.float32(scale.const_value.numpy() / 8), name=scale.name)
    ir.save(model, bundle / "model.onnx")
    artifact = json.loads((bundle / "manifest.json").read_text())["artifact"]["path"]
    if artifact != "model.onnx":
        lower_integers(model)
        ir.save(model, bundle / artifact)


def signal_to_noise(reference: NDArray[np.float32], result: NDArray[np.float32]) -> float:
    return float(10 * np.log10((reference**2).sum() / ((reference - result) ** 2).sum()))
