"""What an INT8 form loses, in the unit of `--max-drop`.

class scores, labels        percentage points of top-1, float minus INT8, on the same images
class scores, no labels     percent of images with another top-1 than float's
images                      dB of PSNR (luma, border as wide as the scale), float minus INT8
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgevision.calibration.source import Image, Source, batches
from edgevision.quantize.evaluate import check_labels
from edgevision.quantize.restoration import luma, psnr
from edgevision.targets.target import Runner

__all__ = ["ClassExam", "Exam", "PictureExam"]


class Exam(Protocol):
    """Questions of which the float model's answers are known.

    Attributes:
        unit: of the drop.
        images: how many questions.
    """

    unit: str
    images: int

    def drop(self, runner: Runner) -> float:
        """How much worse than float `runner` answers."""
        ...


class ClassExam:
    """Images to classify; without labels float's answers stand for them."""

    def __init__(self, reference: Runner, source: Source, batch: int, limit: int | None) -> None:
        self._source, self._batch, self._limit = source, batch, limit
        answers, labels = self._answers(reference), self._labels
        self.images = len(answers)
        labelled = bool(labels) and None not in labels
        self._truth = np.asarray(labels, np.int64) if labelled else answers
        self._right = answers == self._truth
        self.unit = "points of top-1" if labelled else "% of images with another top-1 than float"

    def drop(self, runner: Runner) -> float:
        """Points of top-1, or percent of other answers."""
        right = self._answers(runner) == self._truth
        return 100 * float(self._right.mean() - right.mean())

    def _answers(self, runner: Runner) -> NDArray[np.int64]:
        found: list[NDArray[np.int64]] = []
        self._labels: list[int | None] = []
        for images, labels in batches(self._source, self._batch, self._limit):
            scores = np.asarray(runner(images)[0])
            check_labels(labels, scores.shape[1], self._source)
            found.append(scores.argmax(axis=1).astype(np.int64))
            self._labels += labels
        return np.concatenate(found)


@dataclass(kw_only=True)
class PictureExam:
    """Pictures to enlarge.

    Attributes:
        reference: the float model.
        pairs: gives inputs and true pictures, from the start each time.
        scale: how many times larger the answers are.
    """

    reference: Runner
    pairs: Callable[[], Iterable[tuple[Image, Image]]]
    scale: int
    unit: str = "dB of PSNR"
    images: int = 0

    def __post_init__(self) -> None:
        self._float = self._psnr(self.reference)

    def drop(self, runner: Runner) -> float:
        """Mean loss of PSNR in dB."""
        return self._float - self._psnr(runner)

    def _psnr(self, runner: Runner) -> float:
        border = self.scale
        found = [psnr(luma(truth, border), luma(np.asarray(runner(x)[0])[0], border)) for x, truth in self.pairs()]
        self.images = len(found)
        return float(np.mean(found))
