"""The search of `search.py` over a graph's INT8 forms on ONNX Runtime.

cost      noise power over signal power of the answers with this operator alone in 8 bits
gain      milliseconds in context, from traces (`gains`)
measure   the form is built, raced against the float bundle, and examined (`exam`)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx_ir as ir

from edgevision.calibration.source import Image
from edgevision.errors import GateError
from edgevision.quantize import judge
from edgevision.quantize.builder import Builder, Form
from edgevision.quantize.exam import Exam
from edgevision.quantize.gains import gains
from edgevision.quantize.journal import Journal
from edgevision.quantize.judge import Speed, fidelity_to
from edgevision.quantize.plan import node_label
from edgevision.quantize.search import Found, Point, search
from edgevision.targets.onnxruntime import OnnxRuntime
from edgevision.targets.target import Runner

__all__ = ["Searched", "Trials", "search_int8"]

#: Images that an operator's cost is measured on.
COST_IMAGES = 8
_RACE_SECONDS = 1.5


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What the search came to.

    Attributes:
        found: points, front and decisions.
        form: the one that was taken.
        speed: of that form, raced once more at length.
        budget: on the drop, None where there was none.
        unit: of the drop.
        images: on which it was measured.
        seconds: that it took by the clock; an earlier run's, which was killed, are not among them.
    """

    found: Found
    form: Form
    speed: Speed
    budget: float | None
    unit: str
    images: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Builds forms of one graph and measures them.

    Attributes:
        original: the float graph as the target runs it, opened as `reference`.
        builder: makes the forms.
        best: the form with everything in 8 bits that may be.
        target: to run on.
        exam: what a form's drop is measured with.
        feeds: calibration images.
        folder: for files.
    """

    original: ir.Model
    builder: Builder
    best: Form
    target: OnnxRuntime
    reference: Runner
    exam: Exam
    feeds: list[Image]
    folder: Path

    @cached_property
    def layers(self) -> list[str]:
        """Labels of the operators that may run in 8 bits."""
        return [node_label(node) for node in self.best.plan.linear]

    def form(self, layers: frozenset[str]) -> Form:
        """The form with `layers` in 8 bits."""
        left = [layer for layer in self.layers if layer not in layers]
        return self.builder.build((*self.best.excluded, *left))

    @cached_property
    def _gains(self) -> dict[str, float]:
        scheme = self.builder.scheme
        return gains(self.original, self.best, scheme, self.target, self.feeds[0], self.folder)

    def gain(self, layer: str) -> float:
        """Milliseconds, from traces of the float and of the whole INT8 graph."""
        return self._gains[layer]

    @cached_property
    def _answers(self) -> list[list[Any]]:
        return [self.reference(feed) for feed in self.feeds[:COST_IMAGES]]

    def cost(self, layer: str) -> float:
        """Noise power over signal power of the answers."""
        with self.opened(self.form(frozenset([layer]))) as runner:
            decibel = fidelity_to(self._answers, runner, self.feeds[:COST_IMAGES]).snr_db
        return float(10 ** (-decibel / 10))

    def measure(self, layers: frozenset[str]) -> Point:
        """Drop and speed of the form with `layers` in 8 bits."""
        with self.opened(self.form(layers)) as runner:
            return Point(converted=layers, speed=self.race(runner, _RACE_SECONDS).ratio, drop=self.exam.drop(runner))

    def race(self, runner: Runner, seconds: float = judge.SECONDS) -> Speed:
        """A form against float, in processor time of one thread."""
        return judge.race(self.reference, runner, self.feeds[0], clock=time.thread_time, seconds=seconds)

    def opened(self, form: Form) -> Runner:
        """A form to be run, until it is closed."""
        path = self.folder / "trial.onnx"
        ir.save(form.lowered, path)
        return self.target.load(path)


def search_int8(trials: Trials, budget: float | None, journal: Journal, report: Callable[[str], None]) -> Searched:
    """Search the subsets of the operators that `trials.best` quantizes.

    Args:
        trials: builds and measures them.
        budget: on the drop; None takes the fastest form.
        journal: keeps the measurements.
        report: told what is measured.

    Raises:
        GateError: no form is within the budget; the nearest is named.
    """
    begun = time.perf_counter()
    found = search(
        trials.layers,
        cost=trials.cost,
        gain=trials.gain,
        measure=trials.measure,
        budget=budget,
        journal=journal,
        report=report,
    )
    exam = trials.exam
    if found.chosen is None:
        near = found.nearest
        raise GateError(
            f"--max-drop {budget:g}",
            f"no INT8 form is within it: the nearest drops {near.drop:.2f} {exam.unit} on {exam.images} images with "
            f"{len(near.converted)} of {len(trials.layers)} operators in INT8, at {near.speed:.2f}x the speed of float",
            "allow more, give more calibration images, or take another --calibrator",
        )
    form = trials.form(found.chosen.converted)
    with trials.opened(form) as runner:
        speed = trials.race(runner)
    return Searched(
        found=found,
        form=form,
        speed=speed,
        budget=budget,
        unit=exam.unit,
        images=exam.images,
        seconds=time.perf_counter() - begun,
    )
