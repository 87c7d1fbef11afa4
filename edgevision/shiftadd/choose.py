"""Which layers to shift: those that a pattern selects, and of them those that an accuracy budget can bear."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import onnx_ir as ir

from edgevision.cache import Cache, stage_key
from edgevision.calibration.source import Image, Source, batches
from edgevision.errors import GateError, GraphError, UsageError
from edgevision.hashing import model_sha256
from edgevision.ops.shift_code import ShiftCode
from edgevision.passes.unpack_shifts import unpack_shifts
from edgevision.quantize.evaluate import evaluate
from edgevision.quantize.journal import Journal
from edgevision.quantize.judge import fidelity
from edgevision.quantize.search import Found, Point, search
from edgevision.shiftadd.candidates import Candidate, candidates
from edgevision.shiftadd.energy import layer_energy
from edgevision.targets.onnxruntime import OnnxRuntime
from edgevision.targets.target import Runner

__all__ = ["Budget", "choose", "selected"]

#: Images that each layer's own noise is measured on.
_COMPARED = 16

#: Converts the layers of these names in a graph, in place.
Converting = Callable[[ir.Model, Collection[str]], object]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What may be lost, and the images that it is measured on.

    Attributes:
        max_drop: percentage points of top-1.
        source: labelled images (without labels the dense model's answers stand for them).
        images: how many are used at most.
    """

    max_drop: float
    source: Source
    images: int


def selected(model: ir.Model, patterns: Sequence[str]) -> list[Candidate]:
    """The convertible layers whose name, kind or module matches a pattern of the shell; all of them without patterns.

    Raises:
        GraphError: the graph has no layer that can be converted.
        UsageError: a pattern that matches none.
    """
    found, declined = candidates(model)
    if not found:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(declined.items())[:3])
        raise GraphError(
            "the graph",
            f"it has no linear layer or 2-d convolution with constant weights ({reasons or 'it has none at all'})",
            "ShiftAdd converts constant float32 weights: convert before quantizing, or choose another model",
        )
    for pattern in patterns:
        if not any(_matches(c, pattern) for c in found):
            names = ", ".join(c.module or c.name for c in found[:5])
            raise UsageError(f"--select {pattern}", "it matches no layer", f"layers are called e.g. {names}")
    return [c for c in found if not patterns or any(_matches(c, p) for p in patterns)]


def _matches(candidate: Candidate, pattern: str) -> bool:
    return any(fnmatchcase(text, pattern) for text in (candidate.name, candidate.node.op_type, candidate.module))


def choose(
    model: ir.Model,
    layers: Sequence[Candidate],
    code: ShiftCode,
    budget: Budget,
    converting: Converting,
    cache: Cache,
    report: Callable[[str], None],
    settings: object,
) -> Found:
    """The set of layers that saves most energy within the budget.

    Args:
        model: the dense graph; not changed.
        layers: the candidates.
        code: what they are converted to.
        budget: see there.
        converting: how.
        cache: keeps the measurements, so that a search that was killed goes on.
        report: told what is measured.
        settings: whatever else the measurements depend on.

    Raises:
        GateError: no measured set is within the budget.
    """
    macs = {c.name: c.macs or c.weight.size for c in layers}
    saved = {name: -(b - a) for name, (a, b) in ((n, layer_energy(m, code)) for n, m in macs.items())}
    whole = sum(layer_energy(m, code)[0] for m in macs.values())
    key = stage_key("shiftadd", {"model": model_sha256(model), "settings": settings, "images": budget.images})
    with tempfile.TemporaryDirectory(prefix="edgevision-") as name:
        lab = _Lab(model, budget, converting, Path(name))
        with lab.dense:
            found = search(
                list(macs),
                cost=lambda layer: lab.noise(frozenset([layer])),
                gain=lambda layer: saved[layer],
                measure=lambda chosen: Point(
                    converted=chosen,
                    drop=lab.drop(chosen),
                    speed=whole / (whole - sum(saved[layer] for layer in chosen)),
                ),
                budget=budget.max_drop,
                journal=Journal.of(cache, key),
                report=report,
            )
    if found.chosen is None:
        raise GateError(
            f"--max-drop {budget.max_drop:g}",
            f"the mildest set measured ({len(found.nearest.converted)} layers) loses {found.nearest.drop:.2f} points",
            "give more bits, --scale per-channel or --form apot; or train the model further (docs/shiftadd.md)",
        )
    return found


class _Lab:
    """Measures sets of layers against the dense graph in ONNX Runtime."""

    def __init__(self, model: ir.Model, budget: Budget, converting: Converting, folder: Path) -> None:
        self._model, self._budget, self._converting, self._folder = model, budget, converting, folder
        self._target = OnnxRuntime(threads=1)
        shape = model.graph.inputs[0].shape
        self._batch = shape[0] if shape is not None and isinstance(shape[0], int) else 1
        images = itertools.islice(batches(budget.source, self._batch), _COMPARED)
        self._feeds: list[Image] = [feed for feed, _ in images]
        self.dense: Runner = self._runner(model)

    def _runner(self, model: ir.Model) -> Runner:
        path = self._folder / "model.onnx"
        unpack_shifts(model)
        ir.save(model, path)
        return self._target.load(path)

    def _shifted(self, layers: Collection[str]) -> Runner:
        copy = self._model.clone()
        self._converting(copy, layers)
        return self._runner(copy)

    def noise(self, layers: Collection[str]) -> float:
        """Noise power over signal power of the answers."""
        with self._shifted(layers) as runner:
            return float(10 ** (-fidelity(self.dense, runner, self._feeds).snr_db / 10))

    def drop(self, layers: Collection[str]) -> float:
        """Percentage points of top-1."""
        with self._shifted(layers) as runner:
            found = evaluate(
                {"dense": self.dense, "shifted": runner},
                "dense",
                self._budget.source,
                self._budget.images,
                self._batch,
            )
        return 100.0 * (found.scores["dense"].figures()["top1"] - found.scores["shifted"].figures()["top1"])
