"""quantize: the deploy graph to its INT8 form, with what the manifest says of data, scheme, accuracy and speed.

What is compiled afterwards is held against the Q/DQ graph itself: how far that graph is from the float model is
measured here, on images, and recorded.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cache import Cache
from edgevision.calibration.calibrators import Method
from edgevision.errors import DataError, UsageError
from edgevision.hashing import model_sha256
from edgevision.manifest import Record, as_json
from edgevision.proof import Difference
from edgevision.quantize.recovery import Recovery
from edgevision.stages.samples import Samples, run_graph, worst_over
from edgevision.stages.timing import Report, Stopwatch
from edgevision.stages.verify import TOLERANCES

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevision.calibration.arrays import Make
    from edgevision.calibration.source import Source
    from edgevision.quantize.quantize import Outcome, Wanted
    from edgevision.quantize.search import Point
    from edgevision.quantize.search_int8 import Searched

__all__ = ["Int8", "QuantizeOptions", "image_shape", "quantize_graph", "require_quantized"]


@dataclass(frozen=True, kw_only=True)
class QuantizeOptions:
    """How to quantize.

    Attributes:
        data: the calibration set, as `--data` names it, or a function that yields images whenever it is called.
        scheme: name of the scheme; None takes the target's for this machine.
        calibrator: how ranges are taken; None tries several on the calibration set.
        images: how many images are used at most.
        exclude: names or kinds of operators that stay float.
        per_tensor: one scale a weight, where the scheme has one a channel.
        recovery: techniques that win back accuracy.
        max_drop: search for the fastest form that loses no more than this: points of top-1, dB of PSNR for images.
        explain: search, to say for every operator what it costs and gains.
    """

    data: str | Make
    scheme: str | None = None
    calibrator: Method | None = None
    images: int = 200
    exclude: tuple[str, ...] = ()
    per_tensor: bool = False
    recovery: Recovery = field(default_factory=Recovery)
    max_drop: float | None = None
    explain: bool = False


@dataclass(frozen=True, kw_only=True)
class Int8:
    """The stage's result; `model` and `samples` are the float ones when INT8 gained nothing.

    `tolerance` bounds an artifact's distance from the Q/DQ graph: twice that graph's own distance from float. Another
    order of rounding makes other noise of the same size; what lies farther away has an error of its own.
    """

    model: ir.Model
    samples: Samples
    gained: bool
    tolerance: float
    record: Record
    calibration: Mapping[str, Any]
    quantization: Mapping[str, Any]
    warnings: tuple[str, ...]


def quantize_graph(
    model: ir.Model,
    samples: Samples,
    preprocess: Mapping[str, Any] | None,
    target: str,
    options: QuantizeOptions,
    cache: Cache,
    report: Report,
    *,
    plugins: bool = True,
) -> Int8:
    """Calibrate and quantize `model` for `target`; `plugins`: our kernels may be used there.

    Raises:
        DataError: the calibration set is unfit.
        GraphError: the graph cannot be quantized.
        UsageError: no such scheme.
    """
    from edgevision.calibration.examine import examine
    from edgevision.calibration.open_data import open_data
    from edgevision.quantize.admit import admit
    from edgevision.quantize.calibrate import CalibrationSet
    from edgevision.quantize.choose import default_scheme
    from edgevision.quantize.quantize import quantize
    from edgevision.quantize.scheme import find_scheme

    scheme = find_scheme(options.scheme or default_scheme(target), target)
    scheme = scheme.per_tensor() if options.per_tensor else scheme
    admit(model)
    watch = Stopwatch("quantize")
    source = open_data(options.data, image_shape(model), preprocess)
    report("examine data")
    examined = examine(source, preprocess, options.images)
    data = CalibrationSet(source=source, examined=examined, method=options.calibrator, limit=options.images)
    outcome = quantize(
        model,
        scheme,
        data,
        exclude=options.exclude,
        recovery=options.recovery,
        plugins=plugins,
        wanted=_wanted(model, source, preprocess, options),
        cache=cache,
        report=report,
    )
    with watch.proving():
        held, error = _held_against(outcome, samples)
    record = watch.record(
        inputs=[model_sha256(model), examined.sha256],
        outputs=[model_sha256(outcome.model)],
        error=error,
        notes=[f"scheme {scheme.name}, {examined.images} images of {examined.name}"],
    )
    return Int8(
        model=outcome.model,
        samples=held,
        gained=outcome.gained,
        tolerance=max(TOLERANCES["int8"], 2 * error.max_abs_over_std) if outcome.gained else TOLERANCES["fp32"],
        record=record,
        calibration={**as_json(examined), "method": outcome.calibrator},
        quantization={"scheme": scheme.name, **_recovery(options.recovery), **_facts(outcome)},
        warnings=(*examined.warnings, *_skipped(examined.skipped), *_no_gain(outcome)),
    )


def _wanted(
    model: ir.Model, source: Source, preprocess: Mapping[str, Any] | None, options: QuantizeOptions
) -> Wanted | None:
    """The search that the options ask for: by labels or float's answers, or, for networks that enlarge, by PSNR."""
    from edgevision.calibration.kept import Kept
    from edgevision.quantize.exam import ClassExam, PictureExam
    from edgevision.quantize.observe import batch_of
    from edgevision.quantize.quantize import Wanted
    from edgevision.quantize.restoration import large_pictures, pairs, scale_between

    if options.max_drop is None and not options.explain:
        return None
    channels, height, width = image_shape(model)
    answer = tuple(d if isinstance(d, int) else 1 for d in model.graph.outputs[0].shape or ())
    limit, batch = options.images, batch_of(model)
    scale = scale_between((1, channels, height, width), answer)
    if scale is not None:
        truth = Kept(large_pictures(options.data, (channels, height, width), scale, preprocess), limit)
        factor = scale
        return Wanted(
            budget=options.max_drop,
            exam=lambda reference: PictureExam(
                reference=reference, pairs=lambda: pairs(truth, factor, preprocess, limit), scale=factor
            ),
            name=f"{source.name} at {factor}x",
        )
    if len(answer) != 2:
        raise DataError("--max-drop", "the model answers neither with class scores nor with an image", "leave it out")
    images = Kept(source, limit)
    return Wanted(
        budget=options.max_drop, exam=lambda reference: ClassExam(reference, images, batch, limit), name=source.name
    )


def image_shape(model: ir.Model) -> tuple[int, int, int]:
    """Shape [C, H, W] of the images that a graph takes.

    Raises:
        DataError: it does not take images.
    """
    shape = model.graph.inputs[0].shape
    dims = [d for d in (shape or ()) if isinstance(d, int)][-3:]
    if shape is None or shape.rank() != 4 or len(dims) != 3:
        raise DataError("--data", "the model does not take images [N, C, H, W]", "quantize it in Python")
    return dims[0], dims[1], dims[2]


def _held_against(outcome: Outcome, samples: Samples) -> tuple[Samples, Difference]:
    """The samples with the Q/DQ graph's own outputs, and how far those are from the float model's."""
    if not outcome.gained:
        return samples, Difference(0.0, 0.0)
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        outputs = run_graph(outcome.model, samples.feeds, Path(folder))
    error = worst_over(samples.outputs, outputs)
    return Samples(feeds=samples.feeds, outputs=outputs, reference="the Q/DQ graph in ONNX Runtime, unoptimized"), error


def _recovery(recovery: Recovery) -> dict[str, Any]:
    return {"bias_correction": recovery.bias_correction, "recovery": as_json(recovery)}


def _facts(outcome: Outcome) -> dict[str, Any]:
    """The manifest's `quantization` beside the scheme's name."""
    return {
        "gained": outcome.gained,
        "excluded": list(outcome.excluded),
        "fidelity": as_json(outcome.fidelity),
        "graph_fidelity": as_json(outcome.graph_fidelity),
        "speed": as_json(outcome.speed),
        "mac_share": None if outcome.coverage is None else outcome.coverage.share,
        "runtime_ops": {} if outcome.coverage is None else dict(outcome.coverage.ops),
        "quantized": list(outcome.quantized),
        "declined": outcome.declined,
        "placements": as_json(outcome.races),
        "search": None if outcome.searched is None else _search_facts(outcome.searched),
    }


def _search_facts(searched: Searched) -> dict[str, Any]:
    """The budget, the front, and every operator with what it costs and gains."""
    found = searched.found
    taken = found.chosen or found.nearest
    return {
        "max_drop": searched.budget,
        "unit": searched.unit,
        "images": searched.images,
        "seconds": round(searched.seconds, 1),
        "taken": _point(taken),
        "front": [_point(point) for point in found.front],
        "operators": [
            {
                "name": d.layer,
                "noise_db": as_json(10 * math.log10(d.cost) if d.cost > 0 else -math.inf),
                "gain_ms": round(d.gain, 4),
                "int8": d.converted,
                "reason": d.reason,
            }
            for d in found.decisions
        ],
    }


def _point(point: Point) -> dict[str, Any]:
    return {"operators": len(point.converted), "drop": round(point.drop, 4), "speed": round(point.speed, 3)}


def _skipped(names: object) -> tuple[str, ...]:
    listed = list(names) if isinstance(names, (list, tuple)) else []
    return (f"{len(listed)} images of the calibration set were skipped: {'; '.join(listed)}",) if listed else ()


def _no_gain(outcome: Outcome) -> tuple[str, ...]:
    """Why the bundle is float although INT8 was asked for."""
    if outcome.gained or outcome.speed is None or outcome.coverage is None:
        return ()
    ops = outcome.coverage.ops
    borders = ops.get("QuantizeLinear", 0) + ops.get("DequantizeLinear", 0)
    share = "an unknown share" if outcome.coverage.share is None else f"{outcome.coverage.share:.0%}"
    return (
        f"INT8 does not gain: {outcome.speed.ratio:.2f}x of float ({outcome.speed.second_ms:.2f} against "
        f"{outcome.speed.first_ms:.2f} ms, 95 % interval {outcome.speed.interval[0]:.2f} to "
        f"{outcome.speed.interval[1]:.2f}); {share} of the multiplications ran in INT8 and {borders} conversions "
        "between float and INT8 were left. The bundle is float.",
    )


def require_quantized(model: ir.Model, precision: str) -> None:
    """UsageError where INT8 is asked for of a graph without Q/DQ pairs."""
    if precision == "int8" and not any(node.op_type == "DequantizeLinear" for node in model.graph.all_nodes()):
        raise UsageError(
            "--precision int8",
            "the graph has no Q/DQ pairs: it is not quantized",
            "give --data with images to calibrate on, or an ONNX file that is quantized",
        )
