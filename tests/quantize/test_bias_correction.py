"""Bias correction mends the case it is for, and the shift it takes back is the one that rounding makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from quantizing import run
from small_nets import Build

from edgevision.calibration.arrays import Arrays
from edgevision.calibration.calibrators import calibrated
from edgevision.quantize.bias_correction import channel_means, linear_inputs, mean_shift
from edgevision.quantize.insert import insert
from edgevision.quantize.observe import observe
from edgevision.quantize.plan import make_plan
from edgevision.quantize.scheme import find_scheme


def bright(count: int = 16) -> Arrays:
    """Images far from zero mean, as activations behind a ReLU are."""
    images = np.random.default_rng(3).uniform(2, 3, (count, 3, 16, 16)).astype(np.float32)
    return Arrays("bright", images, None, (3, 16, 16), None)


def planted() -> ir.Model:
    """One large weight per channel makes the step so coarse that all others round the same way."""
    net = Build()
    weight = np.full((8, 3, 1, 1), 0.3, np.float32)
    weight[:, 0] = 127.0 * np.arange(1, 9).reshape(-1, 1, 1) / 4
    wide = net.op("Conv", net.image, net.constant(weight), net.constant(np.zeros(8, np.float32)))
    return net.model(net.op("Relu", net.op("Conv", wide, net.constant(np.ones((4, 8, 1, 1), np.float32)))))


@pytest.mark.parametrize("name", ["ort_x86_vnni", "trt"])
def test_planted_shift_is_mended(name: str, tmp_path: Path) -> None:
    scheme = find_scheme(name, name.partition("_")[0])
    if name == "trt":
        scheme = type(scheme)(**{**vars(scheme), "least_channels": 1})
    model, source = planted(), bright()
    seen = observe(model, [str(v.name) for v in make_plan(model, scheme).tensors], source)
    ranges = {k: calibrated(h, "min-max", symmetric=scheme.activations.symmetric) for k, h in seen.items()}
    feed = np.stack([s.image for s in source])[:1]
    exact = run(model, feed, tmp_path)
    shift = []
    for means in (None, channel_means(model, linear_inputs(list(make_plan(model, scheme).linear)), source)):
        copy = model.clone()
        insert(copy, make_plan(copy, scheme), scheme, ranges, "min-max", means)
        shift.append(abs(float((run(copy, feed, tmp_path) - exact).mean())))
    assert shift[1] < 0.3 * shift[0]


def test_shift_is_that_of_the_mean() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 2, (5000, 6))
    error = rng.standard_normal((4, 6))
    assert np.allclose(mean_shift(error, x.mean(0), "Gemm", 0), (x @ error.T).mean(0))
    assert np.allclose(mean_shift(error.T, x.mean(0), "MatMul", 1), (x @ error.T).mean(0))
    grouped = rng.standard_normal((4, 3, 1, 1))
    expected = np.concatenate(
        [(x[:, :3] @ grouped[:2, :, 0, 0].T).mean(0), (x[:, 3:] @ grouped[2:, :, 0, 0].T).mean(0)]
    )
    assert np.allclose(mean_shift(grouped, x.mean(0), "Conv", 0, groups=2), expected)


def test_means_are_streamed() -> None:
    model, source = planted(), bright(6)
    found = channel_means(model, {"image": 1}, source)
    assert np.allclose(found["image"], np.stack([s.image for s in source]).mean(axis=(0, 2, 3)), atol=1e-6)
