"""Running a bundle on one picture, as `edgevision run` does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevision.bundle import inside, open_bundle
from edgevision.check_bundle import runnable_target
from edgevision.class_names import read_class_names
from edgevision.errors import DataError
from edgevision.images import read_input
from edgevision.whole_file import whole_file

__all__ = ["Guess", "Prediction", "predict", "write_outputs"]


@dataclass(frozen=True, kw_only=True)
class Guess:
    """A class with its softmax probability."""

    index: int
    label: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Outputs for one input; `top` is empty when the model is no classifier."""

    outputs: Sequence[NDArray[np.generic]]
    top: Sequence[Guess]
    milliseconds: float
    task: str


def predict(bundle: Path, image: Path, *, labels: Path | None = None, count: int = 5) -> Prediction:
    """Preprocess `image` as the manifest says, run, and name the `count` likeliest classes.

    Raises:
        DataError: not a bundle, not an image, labels that do not match the outputs.
        TargetError: the artifact cannot run here.
    """
    manifest = open_bundle(bundle)
    target = runnable_target(manifest)
    if len(manifest.inputs) != 1:
        raise DataError(
            str(bundle), f"the model takes {len(manifest.inputs)} inputs, not one image", "use edgevision.load"
        )
    shape = tuple(manifest.inputs[0]["shape"])
    x = read_input(image, shape, manifest.model.preprocess)
    if shape[0] is not None and shape[0] != 1:
        x = np.repeat(x, shape[0], 0)
    with target.load(inside(bundle, manifest.artifact["path"])) as runner:
        start = time.perf_counter()
        outputs = runner(x)
        milliseconds = (time.perf_counter() - start) * 1e3
    task = str((manifest.model.preprocess or {}).get("task", "unknown"))
    classifier = outputs[0].ndim == 2 and task in ("classification", "unknown")
    top = _top(outputs[0][0], labels, count) if classifier else ()
    return Prediction(outputs=outputs, top=top, milliseconds=milliseconds, task=task)


def write_outputs(prediction: Prediction, path: Path) -> None:
    """Keep the raw outputs as `output.0`, `output.1`, … in an .npz file.

    Raises:
        OutputError: the file cannot be written.
    """
    with whole_file(path) as staging, staging.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **{f"output.{i}": o for i, o in enumerate(prediction.outputs)})


def _top(logits: NDArray[np.generic], labels: Path | None, count: int) -> tuple[Guess, ...]:
    scores = np.asarray(logits, np.float64)
    names = _read_labels(labels, scores.size)
    exponent = np.exp(scores - scores.max())
    probability = exponent / exponent.sum()
    best = np.argsort(-probability)[:count]
    return tuple(Guess(index=int(i), label=names[i], probability=float(probability[i])) for i in best)


def _read_labels(path: Path | None, classes: int) -> Sequence[str]:
    if path is None:
        return [f"class {i}" for i in range(classes)]
    names = read_class_names(path)
    if len(names) != classes:
        raise DataError(str(path), f"it has {len(names)} labels, the model {classes} classes", "give one label a class")
    return names
