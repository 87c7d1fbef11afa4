"""CFSR x2 with its published weights on photographs: in INT8 it stays within 0.3 dB of float, above bicubic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from edgevision.cache import Cache, default_cache
from edgevision.calibration.arrays import Arrays
from edgevision.calibration.examine import examine
from edgevision.quantize.builder import calibrated_builder
from edgevision.quantize.calibrate import CalibrationSet
from edgevision.quantize.noise import Noise
from edgevision.quantize.quiet import quieted
from edgevision.quantize.recovery import Recovery
from edgevision.quantize.restoration import bicubic_down, bicubic_up, luma, psnr
from edgevision.quantize.scheme import find_scheme
from edgevision.quantize.target_form import int8_form, target_form
from edgevision.spec import ZooModel
from edgevision.stages.capture import CaptureOptions
from edgevision.stages.graph import deploy_graph
from edgevision.stages.load import LoadOptions, load
from edgevision.stages.samples import samples_of_module
from edgevision.stages.timing import unreported
from edgevision.targets.onnxruntime import OnnxRuntime

WEIGHTS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "cfsr" / "CFSR_x2.pth"
SIDE, SEEN = 64, 8
Picture = NDArray[np.float32]


@pytest.fixture(scope="module")
def deploy() -> ir.Model:
    if not WEIGHTS.is_file():
        pytest.skip("the shared folder with CFSR's published weights is absent")
    loaded, _ = load(ZooModel("cfsr_x2"), LoadOptions(weights=WEIGHTS, input_size=(SIDE // 2, SIDE // 2)))
    samples = samples_of_module(loaded, [1], 0)
    return deploy_graph(loaded, CaptureOptions(), samples, default_cache(), unreported).model


@pytest.fixture(scope="module")
def tiles() -> list[Picture]:
    """Five from each of five photographs, [3, SIDE, SIDE] in 0..1, photograph after photograph."""
    data, samples = pytest.importorskip("skimage.data"), pytest.importorskip("sklearn.datasets")
    stock = [samples.load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    found = []
    for k in range(5):
        for photograph in (data.astronaut(), data.coffee(), data.chelsea(), *stock):
            y, x = ((side - SIDE) * (k + 1) // 6 for side in photograph.shape[:2])
            tile = photograph[y : y + SIDE, x : x + SIDE].transpose(2, 0, 1)
            found.append(np.asarray(tile, np.float32) / 255)
    return found


def score(answers: Sequence[Picture], truth: Sequence[Picture]) -> float:
    return float(np.mean([psnr(luma(t, 2), luma(a, 2)) for a, t in zip(answers, truth, strict=True)]))


def test_int8_is_within_three_tenths_of_a_decibel(deploy: ir.Model, tiles: list[Picture], tmp_path: Path) -> None:
    small = np.stack([bicubic_down(tile, 2) for tile in tiles])
    unseen, truth = small[-5:], tiles[-5:]
    source = Arrays("tiles", small[:-5], None, (3, SIDE // 2, SIDE // 2), None)
    data = CalibrationSet(source=source, examined=examine(source, None), method="mse", limit=SEEN)
    builder = calibrated_builder(
        int8_form(target_form(deploy, "ort", plugins=True), "ort"),
        find_scheme("ort_x86_vnni", "ort"),
        data,
        exclude=(),
        recovery=Recovery(),
        cache=Cache(root=None),
        report=unreported,
    )
    whole = builder.build(())
    with Noise(builder.model, data, images=2) as noise:
        form = quieted(builder, whole, noise)

    def answers(model: ir.Model) -> list[Picture]:
        path = tmp_path / "model.onnx"
        ir.save(model, path)
        with OnnxRuntime(threads=1).load(path) as runner:
            return [runner(image[None])[0][0] for image in unseen]

    exact, rounded, loud = (score(answers(m), truth) for m in (deploy, form.model, whole.model))
    bicubic = score([bicubic_up(image, 2) for image in unseen], truth)
    assert len(form.plan.linear) >= 0.9 * len(whole.plan.linear)
    assert bicubic + 1 < exact
    assert exact - 0.3 < rounded
    assert loud < exact - 0.3  # with those few in 8 bits too it would not be
