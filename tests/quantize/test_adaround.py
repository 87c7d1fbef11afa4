"""Adaptive rounding: what a layer reads is taken exactly, and rounding by it errs less where it was not fitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
import torch.nn.functional as F
from quantizing import run
from small_nets import Build, pictures, residual_net

from edgevision.cache import Cache
from edgevision.calibration.arrays import Arrays
from edgevision.calibration.examine import examine
from edgevision.quantize import second_moments as streaming
from edgevision.quantize.adaround import LAMBDA, adaround
from edgevision.quantize.builder import calibrated_builder
from edgevision.quantize.calibrate import CalibrationSet
from edgevision.quantize.parameters import quantized_weight
from edgevision.quantize.recovery import Recovery
from edgevision.quantize.scheme import find_scheme
from edgevision.quantize.second_moments import second_moments
from edgevision.stages.timing import unreported


def together(count: int, seed: int) -> Arrays:
    """Inputs of few degrees of freedom, as those of trained layers are: mixtures of eight pictures."""
    mixture = np.random.default_rng(seed).standard_normal((count, 8)).astype(np.float32)
    basis = np.concatenate([s.image[None] for s in pictures(8, seed=2)])
    return Arrays("together", np.einsum("nb,bchw->nchw", mixture, basis), None, (3, 16, 16), None)


@pytest.mark.parametrize("kind", ["Conv", "depthwise", "Gemm"])
def test_adaptive_rounding_errs_less_on_what_the_layer_reads(kind: str) -> None:
    """On images it was not fitted to."""
    net = Build()
    if kind == "Gemm":
        flat = net.op("Flatten", net.op("MaxPool", net.image, kernel_shape=[4, 4], strides=[4, 4]))
        weight = net.rng.standard_normal((8, 48)).astype(np.float32)
        model = net.model(net.op("Gemm", flat, net.constant(weight), transB=1))
    else:
        shape = (3, 1, 5, 5) if kind == "depthwise" else (8, 3, 3, 3)
        weight = net.rng.standard_normal(shape).astype(np.float32)
        attributes = {"group": 3 if kind == "depthwise" else 1, "pads": [shape[-1] // 2] * 4, "strides": [2, 2]}
        model = net.model(net.op("Conv", net.image, net.constant(weight), **attributes))
    scheme = find_scheme("ort_x86_vnni", "ort")
    coarse = scheme.weights.__class__(**{**vars(scheme.weights), "largest": 3})
    node = next(n for n in model.graph if n.op_type in ("Conv", "Gemm"))
    nearest = quantized_weight(weight, 0, coarse, "min-max")
    ((_, moments),) = second_moments(model, [node], together(48, seed=0))
    fitted = adaround(weight, nearest, moments, coarse.largest)
    assert np.array_equal(fitted.scales, nearest.scales)
    steps = nearest.scales.reshape(-1, *(1,) * (weight.ndim - 1))
    assert np.abs(fitted.values * steps - weight).max() <= nearest.scales.max() * 1.001
    errors = []
    for values in (nearest.values, fitted.values):
        copy = model.clone()
        next(iter(copy.graph.initializers.values())).const_value = ir.tensor((values * steps).astype(np.float32))
        unseen = [s.image[None] for s in together(8, seed=1)]
        errors.append(sum(((_run(copy, x) - _run(model, x)) ** 2).sum() for x in unseen))
    assert errors[1] < 0.75 * errors[0]


def _run(model: ir.Model, feed: np.ndarray) -> np.ndarray:
    from onnx.reference import ReferenceEvaluator

    return np.asarray(ReferenceEvaluator(ir.to_proto(model)).run(None, {"image": feed})[0])


@pytest.mark.parametrize("groups", [1, 3])
def test_no_single_weight_would_better_be_rounded_otherwise(groups: int) -> None:
    """More columns than are decided at a time, and fewer images than columns."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((groups, 90, 150)) @ rng.standard_normal((groups, 150, 150))
    moments = (rows.swapaxes(1, 2) @ rows / 90).astype(np.float32)
    weight = rng.standard_normal((4 * groups, 150)).astype(np.float32)
    form = find_scheme("ort_x86_vnni", "ort").weights
    nearest = quantized_weight(weight, 0, form, "min-max")
    fitted = adaround(weight, nearest, moments, form.largest)
    damped = moments + LAMBDA * moments.diagonal(0, 1, 2).mean(1)[:, None, None] * np.eye(150)
    exact = (weight / nearest.scales.astype(np.float64)[:, None]).reshape(groups, 4, 150)

    def objective(values: np.ndarray) -> np.ndarray:
        off = values.reshape(exact.shape) - exact
        return np.asarray(((off @ damped) * off).sum(-1))

    found = fitted.values.astype(np.float64).reshape(exact.shape)
    least = objective(found)
    assert (least < 0.5 * objective(nearest.values)).all()
    other = np.where(found > exact, np.floor(exact), np.floor(exact) + 1)
    for column in range(150):
        flipped = found.copy()
        flipped[..., column] = other[..., column]
        assert ((objective(flipped) > least * (1 - 1e-6)) | (np.abs(other[..., column]) > form.largest)).all()


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER", "group": 3},
        {"strides": [2, 3], "dilations": [2, 1], "pads": [0, 1, 2, 0]},
    ],
)
def test_moments_are_those_of_all_patches(attributes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a map has no more positions than are drawn; operators that do not fit together are taken one by one."""
    net = Build()
    groups = attributes.get("group", 1)
    weight = net.constant(net.rng.standard_normal((6, 3 // groups, 3, 3)).astype(np.float32))
    model = net.model(*(net.op("Conv", net.image, weight, **attributes) for _ in range(2)))
    nodes = [n for n in model.graph if n.op_type == "Conv"]
    images = torch.from_numpy(np.stack([s.image for s in pictures(5)]))
    top, left, bottom, right = attributes.get("pads", [0, 0, 1, 1])
    padded = F.pad(images, (left, right, top, bottom))
    patches = F.unfold(padded, 3, dilation=attributes.get("dilations", 1), stride=attributes["strides"])
    rows = patches.numpy().reshape(5, groups, -1, patches.shape[-1]).transpose(1, 0, 3, 2)
    rows = rows.reshape(groups, -1, rows.shape[-1])
    exact = rows.swapaxes(1, 2) @ rows / rows.shape[1]
    monkeypatch.setattr(streaming, "LARGEST_BYTES", exact.nbytes)
    found = list(second_moments(model, nodes, pictures(5)))
    assert [node for node, _ in found] == nodes
    for _, moments in found:
        assert np.abs(moments - exact).max() < 1e-5 * exact.max()
    monkeypatch.setattr(streaming, "LARGEST_BYTES", exact.nbytes - 1)
    assert not list(second_moments(model, nodes, pictures(5)))


def test_forms_are_rounded_adaptively_unless_it_is_switched_off(tmp_path: Path) -> None:
    """Noise on images that were not calibrated on, of the whole form and of one that leaves an operator in float."""
    model, scheme, source = residual_net(), find_scheme("ort_x86_vnni", "ort"), pictures(32)
    data = CalibrationSet(source=source, examined=examine(source, None), method="mse", limit=None)
    feeds = [s.image[None] for s in pictures(8, seed=5)]
    exact = np.concatenate([run(model, feed, tmp_path) for feed in feeds])
    noise = []
    for recovery in (Recovery(adaround=False), Recovery()):
        builder = calibrated_builder(
            model, scheme, data, exclude=(), recovery=recovery, cache=Cache(root=None), report=unreported
        )
        for left in ((), ("depthwise",)):
            form = builder.build(left).model
            found = np.concatenate([run(form, feed, tmp_path) for feed in feeds])
            noise.append(float(((found - exact) ** 2).sum()))
    assert noise[2] < 0.8 * noise[0]
    assert noise[3] < 0.8 * noise[1]
