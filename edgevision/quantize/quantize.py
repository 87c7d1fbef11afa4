"""A float graph to the INT8 graph that is fastest on its target, or to the finding that none gains.

The graph is shaped for its target first: INT8 has to beat the float bundle as it would be built. What the scheme lets
stay float is then decided by racing, since what an operator gains depends on its neighbours: each border between float
and INT8 costs a conversion.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from edgevision.cache import Cache
from edgevision.calibration.source import Image, batches
from edgevision.errors import GraphError
from edgevision.quantize.admit import admit
from edgevision.quantize.builder import Builder, Form, calibrated_builder
from edgevision.quantize.calibrate import CalibrationSet
from edgevision.quantize.coverage import Coverage, coverage
from edgevision.quantize.judge import Fidelity, Speed, fidelity, race
from edgevision.quantize.observe import batch_of
from edgevision.quantize.recovery import Recovery
from edgevision.quantize.scheme import Scheme
from edgevision.quantize.target_form import int8_form, target_form
from edgevision.targets.onnxruntime import OnnxRuntime
from edgevision.targets.reference import Reference

__all__ = ["Outcome", "quantize"]

#: Images that the answers are compared on.
COMPARED = 32
#: A runtime may lose this much against the same graph computed node by node, unless what it has is clean anyway.
_TOLERATED_DB, _CLEAN_DB = 3.0, 50.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What quantization came to.

    Attributes:
        model: the INT8 graph, or the float one when `gained` is False.
        gained: whether INT8 is used; True too where the target cannot be timed here.
        excluded: operator kinds that the fastest placement leaves in float.
        fidelity: of the INT8 graph, as its runtime computes it, against the float one.
        graph_fidelity: the same of the Q/DQ graph computed node by node.
        speed: INT8 against float on the target, in processor time of one thread; None where it does not run here.
        coverage: what ONNX Runtime computes in 8 bits, None for other targets.
        quantized, declined: linear operators in INT8, and those left out with the reason.
        races: placement -> its speed.
    """

    model: ir.Model
    gained: bool
    excluded: tuple[str, ...]
    fidelity: Fidelity
    graph_fidelity: Fidelity
    speed: Speed | None
    coverage: Coverage | None
    quantized: tuple[str, ...]
    declined: dict[str, str]
    races: dict[str, Speed]


def quantize(
    model: ir.Model,
    scheme: Scheme,
    data: CalibrationSet,
    *,
    exclude: tuple[str, ...] = (),
    recovery: Recovery | None = None,
    plugins: bool = True,
    cache: Cache,
    report: Callable[[str], None],
) -> Outcome:
    """Quantize `model` (which is not changed) after `scheme`.

    Args:
        model: the float graph in deploy form.
        scheme: of the target.
        data: an accepted calibration set.
        exclude: names or kinds of operators that stay float in any case.
        recovery: techniques that win back accuracy; None takes the defaults.
        plugins: our kernels may be used.
        cache: keeps the ranges.
        report: told what begins.

    Raises:
        GraphError: the graph cannot be quantized.
        DataError: the data does not fit it.
    """
    admit(model)
    original = target_form(model, scheme.target, plugins=plugins)
    builder = calibrated_builder(
        int8_form(original, scheme.target),
        scheme,
        data,
        exclude=exclude,
        recovery=recovery or Recovery(),
        cache=cache,
        report=report,
    )
    report("compare")
    feeds = [images for images, _ in itertools.islice(batches(data.source, batch_of(model)), COMPARED)]
    with tempfile.TemporaryDirectory(prefix="edgevision-") as name:
        folder, target = Path(name), OnnxRuntime(threads=1, plugins=plugins)
        races: dict[str, Speed] = {}
        if scheme.target == "ort":
            best, races = _fastest(original, builder, exclude, target, feeds[0], folder)
        else:
            best = builder.build(exclude)
        close, plainly = _fidelities(original, best.model, target, feeds, folder)
    _check_runtime(close, plainly)
    return _outcome(model, builder, best, races, close, plainly)


def _fastest(
    original: ir.Model, builder: Builder, exclude: tuple[str, ...], target: OnnxRuntime, feed: Image, folder: Path
) -> tuple[Form, dict[str, Speed]]:
    """Everything in 8 bits, less what the scheme lets stay float where that is faster."""
    races: dict[str, Speed] = {}
    with target.load(_saved(original, folder / "float.onnx")) as reference:

        def timed(form: Form) -> Speed:
            with target.load(_saved(form.model, folder / "form.onnx")) as runner:
                return races.setdefault(_title(form), race(reference, runner, feed, clock=time.thread_time))

        best = builder.build(exclude)
        speed = timed(best)
        for offer in builder.scheme.placements:
            form = builder.build((*best.excluded, *offer))
            if len(form.plan.tensors) == len(best.plan.tensors):
                continue  # there is nothing of the kind
            tried = timed(form)
            if tried.ratio > speed.ratio:
                best, speed = form, tried
    return best, races


def _fidelities(
    original: ir.Model, result: ir.Model, target: OnnxRuntime, feeds: list[Image], folder: Path
) -> tuple[Fidelity, Fidelity]:
    """Of `result` as the runtime fuses it, and node by node."""
    path = _saved(result, folder / "best.onnx")
    first = _saved(original, folder / "float.onnx")
    with target.load(first) as reference, target.load(path) as runner, Reference().load(path) as plain:
        return fidelity(reference, runner, feeds), fidelity(reference, plain, feeds)


def _outcome(
    model: ir.Model, builder: Builder, best: Form, races: dict[str, Speed], close: Fidelity, plainly: Fidelity
) -> Outcome:
    speed = races.get(_title(best))
    gained = speed is None or speed.interval[0] > 1.0
    return Outcome(
        model=best.model if gained else model,
        gained=gained,
        excluded=best.excluded,
        fidelity=close,
        graph_fidelity=plainly,
        speed=speed,
        coverage=None if speed is None else coverage(builder.model, best.model, model),
        quantized=tuple(n.name or str(n.outputs[0].name) for n in best.plan.linear),
        declined=dict(best.plan.declined),
        races=races,
    )


def _check_runtime(computed: Fidelity, plain: Fidelity) -> None:
    """Fused kernels round in another order, which makes other noise but not more of it."""
    if computed.snr_db < plain.snr_db - _TOLERATED_DB and computed.snr_db < _CLEAN_DB:
        raise GraphError(
            "stage quantize",
            f"ONNX Runtime computes the Q/DQ graph with {computed.snr_db:.1f} dB signal to noise, node by node it has "
            f"{plain.snr_db:.1f} dB",
            "report it with the model and the processor: a kernel may saturate; try --scheme ort_x86_avx2",
        )


def _title(form: Form) -> str:
    return "all but " + ", ".join(form.excluded) if form.excluded else "all"


def _saved(model: ir.Model, path: Path) -> Path:
    ir.save(model, path)
    return path
