"""Several bundles over the same labelled images, in one pass and bounded memory."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.calibration.source import Source, batches
from edgevision.errors import DataError
from edgevision.targets.target import Runner

__all__ = ["Evaluation", "Score", "evaluate"]

Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Score:
    """What one model answered.

    Attributes:
        top1, top5: per image, whether it was right.
        agreement: share of images with the reference's top-1.
        snr_db: of its outputs against the reference's.
    """

    top1: Flags
    top5: Flags
    agreement: float
    snr_db: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores by model, and the data they were taken on. `labelled` is False where the reference stood for the labels."""

    scores: Mapping[str, Score]
    images: int
    sha256: str
    labelled: bool


def evaluate(
    runners: Mapping[str, Runner], reference: str, source: Source, limit: int | None, batch: int
) -> Evaluation:
    """Run all `runners` over `source`; `reference` is the one the others are compared with.

    Without labels the reference's own top-1 takes their place.

    Raises:
        DataError: labels that do not match the outputs, outputs that are not class scores, an empty set.
    """
    digest = hashlib.sha256()
    answers: dict[str, list[NDArray[np.int64]]] = {name: [] for name in runners}
    noise, signal = dict.fromkeys(runners, 0.0), 0.0
    truths: list[int | None] = []
    for images, labels in batches(source, batch, limit):
        digest.update(images.data)
        truths += labels
        expected = _scores(runners[reference], images, source.name)
        _check_labels(labels, expected.shape[1], source)
        signal += float((expected**2).sum())
        for name, runner in runners.items():
            got = expected if name == reference else _scores(runner, images, source.name)
            noise[name] += float(((got - expected) ** 2).sum())
            answers[name].append(np.argsort(-got, axis=1, kind="stable")[:, :5])
    if not truths:
        raise DataError(source.name, f"it has fewer images than a batch of {batch}", "give more images")
    ranked = {name: np.concatenate(parts) for name, parts in answers.items()}
    labelled = None not in truths
    truth = np.asarray(truths, np.int64) if labelled else ranked[reference][:, 0]
    scores = {
        name: Score(
            top1=order[:, 0] == truth,
            top5=(order == truth[:, None]).any(axis=1),
            agreement=float((order[:, 0] == ranked[reference][:, 0]).mean()),
            snr_db=_decibel(signal, noise[name]),
        )
        for name, order in ranked.items()
    }
    return Evaluation(scores=scores, images=len(truths), sha256=digest.hexdigest(), labelled=labelled)


def _scores(runner: Runner, images: NDArray[np.float32], name: str) -> NDArray[np.float64]:
    outputs = runner(images)
    if outputs[0].ndim != 2:
        raise DataError(
            name,
            f"the model's first output has shape {outputs[0].shape}, not [N, classes]",
            "regress takes classifiers",
        )
    return np.asarray(outputs[0], np.float64)


def _check_labels(labels: Sequence[int | None], classes: int, source: Source) -> None:
    worst = max((label for label in labels if label is not None), default=0)
    least = min((label for label in labels if label is not None), default=0)
    if worst >= classes or least < 0 or len(source.classes) > classes:
        found = (
            f"{len(source.classes)} classes"
            if len(source.classes) > classes
            else f"label {worst if worst >= classes else least}"
        )
        raise DataError(
            source.name, f"it has {found}, the model tells {classes} apart", "labels must match the outputs"
        )


def _decibel(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
