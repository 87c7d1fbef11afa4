"""INT8 on the digits: what it costs, cross-validated, and what each recovery technique wins back. `make digits-int8`.

Every network of `make train-digits` is quantized on pictures it was trained on and tested on those it has not seen, so
that all 1,797 are tested once. All operators that a scheme takes are quantized, whether or not that gains time.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.cache import default_cache
from edgevision.calibration.digits import Digits
from edgevision.calibration.examine import examine
from edgevision.calibration.source import Source
from edgevision.quantize.builder import calibrated_builder
from edgevision.quantize.calibrate import CalibrationSet
from edgevision.quantize.choose import default_scheme
from edgevision.quantize.gate import decide, paired_drop
from edgevision.quantize.recovery import Recovery
from edgevision.quantize.scheme import find_scheme
from edgevision.quantize.target_form import target_form
from edgevision.registry import Variant, find_variant, variants
from edgevision.spec import Batch, ZooModel
from edgevision.stages.capture import CaptureOptions
from edgevision.stages.graph import deploy_graph
from edgevision.stages.load import LoadOptions, load
from edgevision.stages.samples import samples_of_module
from edgevision.stages.timing import unreported
from edgevision.targets.onnxruntime import OnnxRuntime
from edgevision.train.cross_validation import DigitSet, checkpoint_of, digit_set, folds_of
from edgevision.train.folds import Fold

Array = NDArray[Any]
TARGETS = {
    "ort": "ONNX Runtime, kernels",
    "trt": "TensorRT's Q/DQ graph in ONNX Runtime",
    "coreml": "Core ML program in the evaluator",
}
NONE = Recovery(**dict.fromkeys((f.name for f in dataclasses.fields(Recovery)), False))
TECHNIQUES = {
    "none": NONE,
    **{f.name: dataclasses.replace(NONE, **{f.name: True}) for f in dataclasses.fields(Recovery)},
    "the default": Recovery(),
    "all": Recovery(**dict.fromkeys((f.name for f in dataclasses.fields(Recovery)), True)),
}
CALIBRATED, BUDGET = 200, 0.5
BATCH = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=[v.name for v in variants().values() if v.trained])
    parser.add_argument("--targets", nargs="*", default=list(TARGETS))
    parser.add_argument("--folds", type=Path, default=Path("build/digits"))
    parser.add_argument("--tables", nargs="*", default=["accuracy", "recovery"])
    given = parser.parse_args()
    if "accuracy" in given.tables:
        tell("| model | float | target | INT8 | drop, points | 95 % interval | lost, gained | verdict |")
        tell("|---|---|---|---|---|---|---|---|")
        for name in given.models:
            accuracy(find_variant(name), given.targets, given.folds)
    if "recovery" in given.tables:
        tell("| model | target | " + " | ".join(TECHNIQUES) + " |")
        tell("|---|---|" + "---|" * len(TECHNIQUES))
        for name in given.models:
            recovery(find_variant(name), [t for t in given.targets if t != "coreml"], given.folds)


def accuracy(variant: Variant, targets: list[str], folder: Path) -> None:
    """A row per target: all images, each by the network that has not seen it."""
    data = digits_of(variant.name)
    plain = np.zeros(len(data.labels), bool)
    right = {target: plain.copy() for target in targets}
    for index, fold in enumerate(folds_of(variant, data.labels)):
        model = fold_graph(variant, folder, index)
        plain[fold.test] = answers(model, data.images[fold.test]).argmax(1) == data.labels[fold.test]
        for target in targets:
            given = int8_answers(model, variant, fold, target, Recovery(), data.images[fold.test])
            right[target][fold.test] = given.argmax(1) == data.labels[fold.test]
    for target in targets:
        drop = paired_drop(plain, right[target])
        tell(
            f"| {variant.name} | {plain.mean():.2%} | {TARGETS[target]} | {right[target].mean():.2%} | {drop.points:.2f} "
            f"| {drop.low:.2f} to {drop.high:.2f} | {drop.lost}, {drop.gained} | {decide(drop.low, drop.high, BUDGET)} |"
        )


def recovery(variant: Variant, targets: list[str], folder: Path) -> None:
    """A row per target: signal to noise of the logits, dB, over the first fold's unseen images."""
    data = digits_of(variant.name)
    fold = folds_of(variant, data.labels)[0]
    images = data.images[fold.test][:200]
    model = fold_graph(variant, folder, 0)
    exact = answers(model, images).astype(np.float64)
    for target in targets:
        cells = []
        for technique in TECHNIQUES.values():
            noise = int8_answers(model, variant, fold, target, technique, images) - exact
            cells.append(f"{10 * np.log10((exact**2).sum() / (noise**2).sum()):.1f}")
        tell(f"| {variant.name} | {target} | {' | '.join(cells)} |")


@cache
def digits_of(name: str) -> DigitSet:
    return digit_set(find_variant(name))


def fold_graph(variant: Variant, folder: Path, fold: int) -> ir.Model:
    """The deploy form of a fold's network."""
    loaded, _ = load(ZooModel(variant.name), LoadOptions(weights=checkpoint_of(folder, variant, fold)))
    samples = samples_of_module(loaded, [BATCH], 0)
    return deploy_graph(
        loaded, CaptureOptions(batch=Batch(BATCH, BATCH, BATCH)), samples, default_cache(), unreported
    ).model


def int8_answers(model: ir.Model, variant: Variant, fold: Fold, target: str, how: Recovery, images: Array) -> Array:
    """Logits of the INT8 form for `target`, calibrated on pictures of the fold's training half."""
    source = Digits(variant.input_size, variant.preprocess, indices=fold.train[:: len(fold.train) // CALIBRATED])
    form = quantized(model, target, source, variant.preprocess, how)
    return evaluated(form, images) if target == "coreml" else answers(form, images)


def quantized(
    model: ir.Model, target: str, source: Source, preprocess: Mapping[str, Any] | None, how: Recovery
) -> ir.Model:
    """`model` in INT8, all of it that the target's scheme takes."""
    data = CalibrationSet(source=source, examined=examine(source, preprocess), method="percentile", limit=None)
    builder = calibrated_builder(
        target_form(model, target, plugins=True),
        find_scheme(default_scheme(target), target),
        data,
        exclude=(),
        recovery=how,
        cache=default_cache(),
        report=unreported,
    )
    return builder.build(()).model


def answers(model: ir.Model, images: Array, batch: int = BATCH) -> Array:
    """The first output for all `images`, as many at a time as the graph takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        ir.save(model, path)
        with OnnxRuntime(threads=1).load(path) as runner:
            return joined([runner(part)[0] for part in parts(images, batch)], len(images))


def evaluated(model: ir.Model, images: Array) -> Array:
    from edgevision.targets.coreml import CoreML
    from edgevision.targets.coreml.evaluator import Evaluator

    with tempfile.TemporaryDirectory() as folder:
        evaluator = Evaluator(CoreML(prove=False).build(model, Path(folder)).path)
        name = evaluator.inputs()[0]
        return joined([next(iter(evaluator({name: part}).values())) for part in parts(images)], len(images))


def parts(images: Array, batch: int = BATCH) -> Iterator[Array]:
    """Whole batches; the last one is filled up with repetitions of the first image."""
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        yield np.concatenate([part, images[:1].repeat(batch - len(part), axis=0)])


def joined(answers: list[Array], count: int) -> Array:
    return np.concatenate(answers)[:count]


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
