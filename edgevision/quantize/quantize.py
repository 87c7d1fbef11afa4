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

from edgevision.cache import Cache, stage_key
from edgevision.calibration.calibrators import Method
from edgevision.calibration.source import Image, batches
from edgevision.errors import UsageError
from edgevision.hashing import model_sha256
from edgevision.quantize.admit import admit
from edgevision.quantize.builder import Builder, Form, calibrated_builder
from edgevision.quantize.calibrate import CalibrationSet
from edgevision.quantize.coverage import Coverage, coverage
from edgevision.quantize.exam import Exam
from edgevision.quantize.journal import Journal
from edgevision.quantize.judge import Fidelity, Speed, check_runtime, fidelity, race
from edgevision.quantize.noise import Noise
from edgevision.quantize.observe import batch_of
from edgevision.quantize.quiet import answers_with_image, quieted
from edgevision.quantize.recovery import Recovery
from edgevision.quantize.scheme import Scheme
from edgevision.quantize.search_int8 import Searched, Trials, search_int8
from edgevision.quantize.target_form import int8_form, kernels_run, target_form
from edgevision.targets.onnxruntime import OnnxRuntime
from edgevision.targets.reference import Reference
from edgevision.targets.target import Runner

__all__ = ["Outcome", "Wanted", "quantize"]

#: Images that the answers are compared on.
COMPARED = 32
#: Exceptions that a placement's title lists.
_LISTED = 6


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A search that is asked for.

    Attributes:
        budget: on the drop, in the exam's unit; None wants the fastest form.
        exam: makes the exam, given the float model.
        name: of the exam's data, where it is not the calibration set.
    """

    budget: float | None
    exam: Callable[[Runner], Exam]
    name: str


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
        calibrator: that was taken.
        searched: what the search found, where one was asked for.
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
    calibrator: Method
    searched: Searched | None = None


def quantize(
    model: ir.Model,
    scheme: Scheme,
    data: CalibrationSet,
    *,
    exclude: tuple[str, ...] = (),
    recovery: Recovery | None = None,
    plugins: bool = True,
    wanted: Wanted | None = None,
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
        wanted: search the sets of operators, for a budget or to explain.
        cache: keeps the ranges.
        report: told what begins.

    Raises:
        GraphError: the graph cannot be quantized.
        DataError: the data does not fit it.
        GateError: no INT8 form is within the budget.
        UsageError: a search for a target that does not run here.
    """
    admit(model)
    if wanted is not None and scheme.target != "ort":
        raise UsageError(
            "--max-drop, --explain", f"the target {scheme.target} cannot be timed here", "use --target ort"
        )
    kernels = kernels_run(scheme.target, plugins=plugins)
    scheme = scheme if kernels else scheme.without_tables()
    original = target_form(model, scheme.target, plugins=plugins)
    builder = calibrated_builder(
        int8_form(original, scheme.target),
        scheme,
        data,
        exclude=exclude,
        recovery=recovery or Recovery(),
        kernels=kernels,
        cache=cache,
        report=report,
    )
    report("compare")
    feeds = [images for images, _ in itertools.islice(batches(data.source, batch_of(model)), COMPARED)]
    with tempfile.TemporaryDirectory(prefix="edgevision-") as name:
        folder, target = Path(name), OnnxRuntime(threads=1, plugins=plugins)
        races: dict[str, Speed] = {}
        best, searched = builder.build(exclude), None
        if scheme.target == "ort":
            report("race")
            best, races = _fastest(original, builder, exclude, target, feeds[0], folder)
        raced = races.get(_title(best))
        if wanted is None and answers_with_image(original) and (raced is None or raced.gains):
            report("noise")
            best = _quiet(original, builder, best, data, target, races, feeds[0], folder)
        if wanted is not None:
            journal = Journal.of(cache, _search_key(builder, data, wanted, plugins=plugins))
            best = builder.build(journal.recall("placement", lambda: list(best.excluded)))
            searched = _search(original, builder, best, target, wanted, feeds, journal, folder, report)
            best = searched.form
            races[_title(best)] = searched.speed
        close, plainly = _fidelities(original, best, target, feeds, folder)
    check_runtime(close, plainly)
    return _outcome(model, builder, best, races, searched, close, plainly)


def _fastest(
    original: ir.Model, builder: Builder, exclude: tuple[str, ...], target: OnnxRuntime, feed: Image, folder: Path
) -> tuple[Form, dict[str, Speed]]:
    """Everything in 8 bits, less what the scheme lets stay float where that is faster."""
    races: dict[str, Speed] = {}
    with target.load(_saved(original, folder / "float.onnx")) as reference:

        def timed(form: Form) -> Speed:
            return races.setdefault(_title(form), _timed(form, reference, target, feed, folder))

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


def _quiet(
    original: ir.Model,
    builder: Builder,
    best: Form,
    data: CalibrationSet,
    target: OnnxRuntime,
    races: dict[str, Speed],
    feed: Image,
    folder: Path,
) -> Form:
    """`best`, less the operators whose rounding shows in the images it answers with; raced again where it was."""
    with Noise(original, data) as noise:
        form = quieted(builder, best, noise)
    if form is not best and races:
        with target.load(_saved(original, folder / "float.onnx")) as reference:
            races[_title(form)] = _timed(form, reference, target, feed, folder)
    return form


def _search(
    original: ir.Model,
    builder: Builder,
    best: Form,
    target: OnnxRuntime,
    wanted: Wanted,
    feeds: list[Image],
    journal: Journal,
    folder: Path,
    report: Callable[[str], None],
) -> Searched:
    with target.load(_saved(original, folder / "float.onnx")) as reference:
        trials = Trials(
            original=original,
            builder=builder,
            best=best,
            target=target,
            reference=reference,
            exam=wanted.exam(reference),
            feeds=feeds,
            folder=folder,
        )
        return search_int8(trials, wanted.budget, journal, report)


def _timed(form: Form, reference: Runner, target: OnnxRuntime, feed: Image, folder: Path) -> Speed:
    with target.load(_saved(form.lowered, folder / "form.onnx")) as runner:
        return race(reference, runner, feed, clock=time.thread_time)


def _search_key(builder: Builder, data: CalibrationSet, wanted: Wanted, *, plugins: bool) -> str:
    """Changes with everything that a measurement of the search depends on; the budget is not among it."""
    inputs = {
        "graph": model_sha256(builder.model),
        "ranges": {name: (r.low, r.high) for name, r in sorted(builder.ranges.items())},
        "scheme": repr(builder.scheme),
        "weights": [builder.method, builder.means is not None, bool(builder.adapted), builder.kept],
        "data": [data.examined.sha256, data.limit, wanted.name],
        "plugins": plugins,
    }
    return stage_key("search", inputs)


def _fidelities(
    original: ir.Model, best: Form, target: OnnxRuntime, feeds: list[Image], folder: Path
) -> tuple[Fidelity, Fidelity]:
    """Of `best` as the runtime fuses it, and node by node."""
    path, fused = _saved(best.model, folder / "best.onnx"), _saved(best.lowered, folder / "lowered.onnx")
    first = _saved(original, folder / "float.onnx")
    with target.load(first) as reference, target.load(fused) as runner, Reference().load(path) as plain:
        return fidelity(reference, runner, feeds), fidelity(reference, plain, feeds)


def _outcome(
    model: ir.Model,
    builder: Builder,
    best: Form,
    races: dict[str, Speed],
    searched: Searched | None,
    close: Fidelity,
    plainly: Fidelity,
) -> Outcome:
    speed = races.get(_title(best))
    gained = bool(best.plan.linear) and (speed is None or speed.gains)
    return Outcome(
        model=best.model if gained else model,
        gained=gained,
        excluded=best.excluded,
        fidelity=close,
        graph_fidelity=plainly,
        speed=speed,
        coverage=None if speed is None else coverage(builder.model, best.lowered, model),
        quantized=tuple(n.name or str(n.outputs[0].name) for n in best.plan.linear),
        declined=dict(best.plan.declined),
        races=races,
        calibrator=builder.calibrator,
        searched=searched,
    )


def _title(form: Form) -> str:
    many = len(form.excluded) > _LISTED
    left = f"{len(form.excluded)} operators" if many else ", ".join(form.excluded)
    return f"all but {left}" if left else "all"


def _saved(model: ir.Model, path: Path) -> Path:
    ir.save(model, path)
    return path
