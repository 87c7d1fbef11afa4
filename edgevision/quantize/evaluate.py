"""Several bundles over the same images, in one pass and bounded memory: class scores, or pictures to enlarge."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.calibration.source import Image, Source
from edgevision.errors import DataError
from edgevision.quantize.gate import Drop, mean_drop, paired_drop
from edgevision.quantize.restoration import bicubic_up, luma, normalisation, pairs, psnr, ssim
from edgevision.targets.target import Runner

__all__ = ["Evaluation", "PictureScore", "Score", "check_labels", "evaluate", "evaluate_pictures"]

Flags = NDArray[np.bool_]
#: The class of an answer that is not finite; no label is that.
_NONE = -1


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

    def figures(self) -> dict[str, float]:
        """Shares and decibels, by name."""
        return {
            "top1": float(self.top1.mean()),
            "top5": float(self.top5.mean()),
            "agreement": self.agreement,
            "snr_db": self.snr_db,
        }

    def drop_to(self, candidate: Score) -> Drop:
        """Of top-1, in percentage points."""
        return paired_drop(self.top1, candidate.top1)


@dataclass(frozen=True, kw_only=True)
class PictureScore:
    """How close one model's pictures come to the true ones, per picture, on luma without the border.

    Attributes:
        psnr: dB.
        ssim: structural similarity.
        snr_db: of its outputs against the reference's.
    """

    psnr: NDArray[np.float64]
    ssim: NDArray[np.float64]
    snr_db: float

    def figures(self) -> dict[str, float]:
        """Means, by name."""
        return {"psnr_db": float(self.psnr.mean()), "ssim": float(self.ssim.mean()), "snr_db": self.snr_db}

    def drop_to(self, candidate: PictureScore) -> Drop:
        """Of PSNR, in dB."""
        return mean_drop(self.psnr, candidate.psnr, "PSNR", "dB")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores by model, and the data they were taken on.

    Attributes:
        labelled: False where the reference's answers stood for the labels.
        bicubic: what bicubic interpolation scores, for models that enlarge.
        skipped: pictures that could not be read, each with its reason.
    """

    scores: Mapping[str, Score | PictureScore]
    images: int
    sha256: str
    labelled: bool
    bicubic: PictureScore | None = None
    skipped: Sequence[str] = ()


def evaluate(
    runners: Mapping[str, Runner], reference: str, source: Source, limit: int | None, batch: int
) -> Evaluation:
    """Run all `runners` over `source`; `reference` is the one the others are compared with.

    Without labels the reference's own top-1 takes their place. An answer that is not finite is wrong.

    Raises:
        DataError: labels that do not match the outputs, outputs that are not class scores, an empty set.
    """
    digest = hashlib.sha256()
    answers: dict[str, list[NDArray[np.int64]]] = {name: [] for name in runners}
    noise, signal = dict.fromkeys(runners, 0.0), 0.0
    truths: list[int | None] = []
    for images, labels in _filled(source, batch, limit):
        digest.update(images[: len(labels)].data)
        truths += labels
        expected = _scores(runners[reference], images, source.name)[: len(labels)]
        check_labels(labels, expected.shape[1], source)
        signal += float((expected**2).sum())
        for name, runner in runners.items():
            got = expected if name == reference else _scores(runner, images, source.name)[: len(labels)]
            noise[name] += float(((got - expected) ** 2).sum())
            answers[name].append(_ranked(got))
    if not truths:
        raise DataError(source.name, "it has no images", "give some")
    ranked = {name: np.concatenate(parts) for name, parts in answers.items()}
    labelled = None not in truths
    truth = np.asarray(truths, np.int64) if labelled else ranked[reference][:, 0]
    if (truth == _NONE).any():
        raise DataError(source.name, f"{reference} gives NaN or Inf on it, and there are no labels", "give labels")
    scores = {
        name: Score(
            top1=order[:, 0] == truth,
            top5=(order == truth[:, None]).any(axis=1),
            agreement=float((order[:, 0] == ranked[reference][:, 0]).mean()),
            snr_db=_decibel(signal, noise[name]),
        )
        for name, order in ranked.items()
    }
    return Evaluation(
        scores=scores,
        images=len(truths),
        sha256=digest.hexdigest(),
        labelled=labelled,
        skipped=tuple(source.skipped()),
    )


def _filled(source: Source, size: int, limit: int | None) -> Iterator[tuple[Image, list[int | None]]]:
    """Batches of `size` with the labels of the images in them; a last one is filled up with repetitions of its last."""
    samples = itertools.islice(source, limit)
    while part := list(itertools.islice(samples, size)):
        images = [sample.image for sample in part] + [part[-1].image] * (size - len(part))
        yield np.stack(images), [sample.label for sample in part]


def _ranked(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """The five largest classes of each row, best first."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    order[~np.isfinite(scores).all(axis=1)] = _NONE
    return order


def evaluate_pictures(
    runners: Mapping[str, Runner],
    reference: str,
    source: Source,
    scale: int,
    how: Mapping[str, Any] | None,
    limit: int | None,
) -> Evaluation:
    """Run all `runners` over the pictures of `source` made `scale` times smaller; see `restoration`."""
    digest = hashlib.sha256()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in (*runners, "bicubic")}
    noise, signal = dict.fromkeys(runners, 0.0), 0.0
    mean, std = normalisation(how)
    for image, truth in pairs(source, scale, how, limit):
        digest.update(truth.data)
        wanted = luma(truth, scale)
        expected = np.asarray(runners[reference](image)[0], np.float64)[0]
        signal += float((expected**2).sum())
        for name, runner in runners.items():
            got = expected if name == reference else np.asarray(runner(image)[0], np.float64)[0]
            noise[name] += float(((got - expected) ** 2).sum())
            found[name].append(_closeness(wanted, luma(got, scale)))
        found["bicubic"].append(_closeness(wanted, luma(bicubic_up(image[0] * std + mean, scale), scale)))
    scores = {
        name: PictureScore(psnr=rows[:, 0], ssim=rows[:, 1], snr_db=_decibel(signal, noise.get(name, math.nan)))
        for name, rows in ((name, np.asarray(values)) for name, values in found.items())
    }
    bicubic = scores.pop("bicubic")
    return Evaluation(
        scores=scores,
        images=len(found[reference]),
        sha256=digest.hexdigest(),
        labelled=True,
        bicubic=bicubic,
        skipped=tuple(source.skipped()),
    )


def _closeness(truth: NDArray[np.float64], result: NDArray[np.float64]) -> tuple[float, float]:
    return psnr(truth, result), ssim(truth, result)


def _scores(runner: Runner, images: NDArray[np.float32], name: str) -> NDArray[np.float64]:
    outputs = runner(images)
    if outputs[0].ndim != 2:
        raise DataError(
            name,
            f"the model's first output has shape {outputs[0].shape}, not [N, classes]",
            "regress takes models that classify or enlarge",
        )
    return np.asarray(outputs[0], np.float64)


def check_labels(labels: Sequence[int | None], classes: int, source: Source) -> None:
    """Labels must be among `classes` outputs, and class folders as many as these.

    Raises:
        DataError: they are not.
    """
    known = [label for label in labels if label is not None]
    if source.classes and len(source.classes) != classes:
        raise DataError(
            source.name,
            f"it has {len(source.classes)} classes, the model tells {classes} apart",
            "labels must match the outputs: one folder a class, sorted by name, or an NPZ with labels",
        )
    if known and not 0 <= min(known) <= max(known) < classes:
        wrong = max(known) if min(known) >= 0 else min(known)
        raise DataError(
            source.name, f"it has label {wrong}, the model tells {classes} apart", "labels must match the outputs"
        )


def _decibel(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    if not math.isfinite(noise):
        return -math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
