"""A float graph to the INT8 graph that is fastest on its target, or to the finding that none gains.

Every placement the scheme offers is built and, where the target runs here, raced against the float graph: what an
operator gains depends on its neighbours, since each border between float and INT8 costs a conversion.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from edgevision.cache import Cache
from edgevision.calibration.calibrators import Method
from edgevision.calibration.source import Image, batches
from edgevision.errors import GraphError
from edgevision.quantize.admit import admit
from edgevision.quantize.bias_correction import channel_means, linear_inputs
from edgevision.quantize.calibrate import CalibrationSet, calibrate
from edgevision.quantize.coverage import Coverage, coverage
from edgevision.quantize.insert import insert
from edgevision.quantize.judge import Fidelity, Speed, fidelity, race
from edgevision.quantize.observe import batch_of
from edgevision.quantize.plan import Plan, make_plan
from edgevision.quantize.scheme import Scheme
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
        speed: INT8 against float on the target, None where it does not run here.
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


@dataclass(frozen=True, kw_only=True)
class _Placement:
    excluded: tuple[str, ...]
    plan: Plan
    model: ir.Model


def quantize(
    model: ir.Model,
    scheme: Scheme,
    data: CalibrationSet,
    *,
    exclude: tuple[str, ...] = (),
    bias_correction: bool = False,
    cache: Cache,
    report: Callable[[str], None],
) -> Outcome:
    """Quantize `model` (which is not changed) after `scheme`.

    Args:
        model: the float graph in deploy form.
        scheme: of the target.
        data: an accepted calibration set.
        exclude: names or kinds of operators that stay float in any case.
        bias_correction: let biases take back the shift of the mean that rounding weights makes.
        cache: keeps the ranges.
        report: told what begins.

    Raises:
        GraphError: the graph cannot be quantized.
        DataError: the data does not fit it.
    """
    admit(model)
    timed = scheme.target == "ort"
    offers = [(*exclude, *offer) for offer in (scheme.placements if timed else scheme.placements[:1])]
    wanted = {str(v.name) for offer in offers for v in make_plan(model, scheme, offer).tensors}
    ranges = calibrate(model, sorted(wanted), data, symmetric=scheme.activations.symmetric, cache=cache, report=report)
    means = None
    if bias_correction:
        report("bias correction")
        means = channel_means(model, linear_inputs(make_plan(model, scheme, exclude).linear), data.source, data.limit)
    placements = []
    for offer in offers:
        copy = model.clone()
        plan = make_plan(copy, scheme, offer)
        insert(copy, plan, scheme, ranges, weight_method(data.method), means)
        placements.append(_Placement(excluded=offer, plan=plan, model=copy))
    report("compare")
    feeds = [images for images, _ in itertools.islice(batches(data.source, batch_of(model)), COMPARED)]
    return _select(model, placements, feeds, timed=timed)


def weight_method(method: Method) -> Method:
    """Weights are searched for least error except where everything shall be kept."""
    return "min-max" if method == "min-max" else "mse"


def _select(model: ir.Model, placements: list[_Placement], feeds: list[Image], *, timed: bool) -> Outcome:
    """Race the placements, keep the fastest, and compare its answers."""
    races: dict[str, Speed] = {}
    best = placements[0]
    with tempfile.TemporaryDirectory(prefix="edgevision-") as name:
        folder = Path(name)
        target = OnnxRuntime(threads=1)
        with target.load(_saved(model, folder / "float.onnx")) as original:
            if timed:
                for index, placement in enumerate(placements):
                    with target.load(_saved(placement.model, folder / f"{index}.onnx")) as runner:
                        races[_title(placement)] = race(original, runner, feeds[0])
                best = max(placements, key=lambda p: races[_title(p)].ratio)
            path = _saved(best.model, folder / "best.onnx")
            with target.load(path) as runner, Reference().load(path) as plain:
                close, plainly = fidelity(original, runner, feeds), fidelity(original, plain, feeds)
    _check_runtime(close, plainly)
    speed = races.get(_title(best))
    gained = speed is None or speed.interval[0] > 1.0
    return Outcome(
        model=best.model if gained else model,
        gained=gained,
        excluded=best.excluded,
        fidelity=close,
        graph_fidelity=plainly,
        speed=speed,
        coverage=coverage(model, best.model) if timed else None,
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


def _title(placement: _Placement) -> str:
    return "all but " + ", ".join(placement.excluded) if placement.excluded else "all"


def _saved(model: ir.Model, path: Path) -> Path:
    ir.save(model, path)
    return path
