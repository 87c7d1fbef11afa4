"""How far an INT8 form's answers are from the float graph's, on a few images of the calibration set."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.calibration.source import Image, batches
from edgevision.quantize.calibrate import CalibrationSet
from edgevision.quantize.observe import batch_of
from edgevision.targets.onnxruntime import OnnxRuntime

__all__ = ["Noise"]

#: Images that the answers are compared on.
COMPARED = 8


class Noise:
    """Mean square of the answers' distance from float's, over the square of float's largest magnitude.

    For pictures in 0..1 that is 10^(-PSNR / 10) against float's. A context: its folder is there until it is left.

    Args:
        model: the float graph.
        data: the calibration set.
        images: how many of its images are compared at most.
    """

    def __init__(self, model: ir.Model, data: CalibrationSet, images: int = COMPARED) -> None:
        size = batch_of(model)
        few = itertools.islice(batches(data.source, size, data.limit), max(1, images // size))
        self._feeds: list[Image] = [images for images, _ in few]
        self._folder = tempfile.TemporaryDirectory(prefix="edgevision-")
        self._expected = self._answers(model)
        self._peak = max((float(np.abs(a).max()) for a in self._expected), default=1.0) or 1.0

    def __enter__(self) -> Noise:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def of(self, model: ir.Model) -> float:
        """Of one form."""
        pairs = list(zip(self._expected, self._answers(model), strict=True))
        error = sum(float(((a - b) ** 2).sum()) for a, b in pairs)
        return error / sum(a.size for a, _ in pairs) / self._peak**2

    def _answers(self, model: ir.Model) -> list[NDArray[np.float64]]:
        path = Path(self._folder.name) / "form.onnx"
        ir.save(model, path)
        with OnnxRuntime(threads=1).load(path) as runner:
            return [np.asarray(a, np.float64) for feed in self._feeds for a in runner(feed)]
