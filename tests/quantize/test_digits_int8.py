"""INT8 on trained weights and pictures they have not seen: the answers stay. `make digits-int8` does it for all images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from edgevision.cache import Cache
from edgevision.calibration.digits import Digits
from edgevision.calibration.examine import examine
from edgevision.quantize.builder import calibrated_builder
from edgevision.quantize.calibrate import CalibrationSet
from edgevision.quantize.recovery import Recovery
from edgevision.quantize.scheme import find_scheme
from edgevision.quantize.target_form import target_form
from edgevision.registry import find_variant
from edgevision.spec import Batch, ZooModel
from edgevision.stages.capture import CaptureOptions
from edgevision.stages.graph import deploy_graph
from edgevision.stages.load import LoadOptions, load
from edgevision.stages.samples import samples_of_module
from edgevision.stages.timing import unreported
from edgevision.targets.onnxruntime import OnnxRuntime
from edgevision.train.cross_validation import digit_set, folds_of

NAME, BATCH, SEEN, UNSEEN = "mobilemamba_digits", 25, 100, 200


@pytest.fixture(scope="module")
def deploy(tmp_path_factory: pytest.TempPathFactory) -> ir.Model:
    loaded, _ = load(ZooModel(NAME), LoadOptions())
    samples = samples_of_module(loaded, [BATCH], 0)
    cache = Cache(root=tmp_path_factory.mktemp("cache"))
    return deploy_graph(loaded, CaptureOptions(batch=Batch(BATCH, BATCH, BATCH)), samples, cache, unreported).model


def answers(model: ir.Model, images: np.ndarray, folder: Path) -> np.ndarray:
    path = folder / "model.onnx"
    ir.save(model, path)
    with OnnxRuntime(threads=1).load(path) as runner:
        return np.concatenate([runner(part)[0] for part in np.split(images, len(images) // BATCH)])


@pytest.mark.parametrize(("target", "scheme"), [("ort", "ort_x86_vnni"), ("trt", "trt")])
def test_int8_answers_as_float_does(deploy: ir.Model, target: str, scheme: str, tmp_path: Path) -> None:
    variant = find_variant(NAME)
    data = digit_set(variant)
    fold = folds_of(variant, data.labels)[0]
    source = Digits(variant.input_size, variant.preprocess, indices=fold.train[:SEEN])
    calibration = CalibrationSet(
        source=source, examined=examine(source, variant.preprocess), method="percentile", limit=None
    )
    builder = calibrated_builder(
        target_form(deploy, target, plugins=True),
        find_scheme(scheme, target),
        calibration,
        exclude=(),
        recovery=Recovery(),
        cache=Cache(root=None),
        report=unreported,
    )
    images, labels = data.images[fold.test[:UNSEEN]], data.labels[fold.test[:UNSEEN]]
    form = builder.build(())
    assert len(form.plan.linear) > 20
    exact, rounded = answers(deploy, images, tmp_path), answers(form.model, images, tmp_path)
    assert (exact.argmax(1) == labels).mean() > 0.98
    assert (rounded.argmax(1) == labels).mean() >= (exact.argmax(1) == labels).mean() - 0.01
    assert 15 < 10 * np.log10((exact**2).sum() / ((rounded - exact) ** 2).sum()) < 60
