"""Runs the float graph over the calibration set and keeps a histogram per tensor: memory does not grow with the set."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.calibration.histogram import Histogram
from edgevision.calibration.source import Source, batches
from edgevision.errors import DataError, GraphError
from edgevision.quantize.progress import Progress
from edgevision.targets.onnxruntime import OnnxRuntime

__all__ = ["batch_of", "exposing", "observe", "values_of"]


def observe(
    model: ir.Model,
    tensors: Sequence[str],
    source: Source,
    limit: int | None = None,
    report: Callable[[int], None] | None = None,
    progress: Progress | None = None,
) -> dict[str, Histogram]:
    """Histograms of `tensors` (names of values of `model`) over at most `limit` images.

    `report` is told the number of images seen, batch by batch. `progress` keeps what was seen so far, and has what an
    earlier run that was killed had seen.
    """
    begun = None if progress is None else progress.last()
    histograms, seen = begun or ({name: Histogram() for name in tensors}, 0)
    for values in values_of(model, tensors, source, limit, skip=seen):
        for name, array in values.items():
            histograms[name].add(array)
        seen += batch_of(model)
        if report is not None:
            report(seen)
        if progress is not None:
            progress.keep(histograms, seen)
    return histograms


def values_of(
    model: ir.Model, tensors: Sequence[str], source: Source, limit: int | None = None, skip: int = 0
) -> Iterator[dict[str, NDArray[Any]]]:
    """What `tensors` of `model` (inputs among them) hold, one batch of images after the other.

    The first `skip` images are read and not run.

    Raises:
        DataError: there are fewer images than the graph takes at a time.
    """
    size, read = batch_of(model), 0
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        path = Path(folder) / "observed.onnx"
        ir.save(exposing(model, tensors), path)
        with OnnxRuntime().load(path) as runner:
            names = [info.name for info in runner.outputs]
            given = {info.name for info in runner.inputs} & set(tensors)
            for images, _ in batches(source, size, limit):
                read += len(images)
                if read <= skip:
                    continue
                outputs = dict(zip(names, runner(images), strict=True))
                yield {**{k: v for k, v in outputs.items() if k in tensors}, **dict.fromkeys(given, images)}
    if read == 0:
        raise DataError(source.name, f"it has fewer images than the graph's batch of {size}", "export with --batch 1")


def batch_of(model: ir.Model) -> int:
    """Images the graph takes at a time; 1 where it takes any number.

    Raises:
        GraphError: it has several inputs, or one that is not an image.
    """
    inputs = [v for v in model.graph.inputs if v.name not in model.graph.initializers]
    if len(inputs) != 1 or inputs[0].shape is None or inputs[0].shape.rank() != 4:
        raise GraphError("calibration", "the model does not take one image [N, C, H, W]", "quantize it in Python")
    first = inputs[0].shape[0]
    return first if isinstance(first, int) else 1


def exposing(model: ir.Model, tensors: Sequence[str]) -> ir.Model:
    """A copy of `model` with `tensors` as further outputs; those that are its inputs or outputs stay as they are."""
    copy = model.clone()
    present = {v.name for v in (*copy.graph.inputs, *copy.graph.outputs)}
    for node in copy.graph:
        for value in node.outputs:
            if value.name in tensors and value.name not in present:
                value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
                copy.graph.outputs.append(value)
    return copy
