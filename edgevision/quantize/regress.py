"""The gate that CI runs: bundles against their float bundle and against the committed baseline, in pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgevision.bundle import inside, open_bundle
from edgevision.calibration.open_data import open_data
from edgevision.calibration.source import batches
from edgevision.check_bundle import runnable_target, target_of
from edgevision.errors import DataError, UsageError
from edgevision.manifest import Manifest
from edgevision.quantize.baseline import Entry, from_hex, to_hex
from edgevision.quantize.evaluate import Evaluation, evaluate
from edgevision.quantize.gate import Drop, Verdict, decide, paired_drop
from edgevision.quantize.judge import Speed, race
from edgevision.targets.target import Runner

__all__ = ["Check", "RegressOptions", "Regression", "regress"]


@dataclass(frozen=True, kw_only=True)
class RegressOptions:
    """What to hold the bundles to.

    Attributes:
        data: as `--data` names it.
        max_drop: of top-1, percentage points.
        max_slowdown: percent, of the quantized bundle against float; None does not time anything.
        images: used at most, None for all.
    """

    data: str
    max_drop: float = 0.5
    max_slowdown: float | None = None
    images: int | None = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """One comparison and its verdict.

    Attributes:
        bundle: key of the candidate.
        against: what it was compared with.
        what: "top-1" or "speed".
        drop: of accuracy, None for speed.
        speed: None for accuracy.
    """

    bundle: str
    against: str
    what: str
    verdict: Verdict
    said: str
    drop: Drop | None = None
    speed: Speed | None = None


@dataclass(frozen=True, kw_only=True)
class Regression:
    """All checks, the scores behind them, and what a new baseline would hold."""

    checks: Sequence[Check]
    evaluation: Evaluation
    entries: Mapping[str, Entry]
    warnings: Sequence[str] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        found = {c.verdict for c in self.checks}
        return "fail" if "fail" in found else "inconclusive" if "inconclusive" in found else "pass"


def regress(paths: Sequence[Path], options: RegressOptions, baseline: Mapping[str, Entry] | None) -> Regression:
    """Evaluate the bundles at `paths` on the data and compare.

    The first bundle that is not INT8 is the reference of the others; `baseline` (None: there is none to compare
    with) has one entry per bundle.

    Raises:
        DataError: data that does not fit, a baseline of other models or data.
        UsageError: two bundles of one kind, or bundles of different models.
        TargetError: a bundle that cannot run here.
    """
    manifests = {_key(m): (path, m) for path, m in ((p, open_bundle(p)) for p in paths)}
    _check_bundles(paths, manifests)
    float_key = next((k for k, (_, m) in manifests.items() if m.target["precision"] != "int8"), None)
    first = next(iter(manifests.values()))[1]
    batch, channels, height, width = first.inputs[0]["shape"]
    source = open_data(options.data, (channels, height, width), first.model.preprocess)
    with ExitStack() as stack:
        runners = {
            key: stack.enter_context(target_of(m, threads=1).load(inside(path, m.artifact["path"])))
            for key, (path, m) in manifests.items()
        }
        found = evaluate(runners, float_key or next(iter(runners)), source, options.images, batch or 1)
        timed = options.max_slowdown is not None and float_key is not None
        feed = next(images for images, _ in batches(source, batch or 1))
        speeds = {k: _race(runners, float_key, k, feed) for k in runners if k != float_key} if timed else {}
    checks = [
        c for key in runners if key != float_key and float_key for c in _against_float(key, float_key, found, options)
    ]
    checks += [_slowdown(key, str(float_key), speed, options.max_slowdown or 0.0) for key, speed in speeds.items()]
    entries = {
        key: Entry(
            key=key,
            data=found.sha256,
            images=found.images,
            top1=to_hex(found.scores[key].top1),
            bytes=int(m.artifact["bytes"]),
            speed=round(speeds[key].ratio, 3) if key in speeds else None,
        )
        for key, (_, m) in manifests.items()
    }
    if baseline is not None:
        checks += [_against_baseline(entry, baseline, options.max_drop) for entry in entries.values()]
    unlabelled = "the data has no labels: the reference's own answers stand for them"
    return Regression(
        checks=checks, evaluation=found, entries=entries, warnings=() if found.labelled else (unlabelled,)
    )


def _key(manifest: Manifest) -> str:
    scheme = (manifest.quantization or {}).get("scheme", "none")
    target = manifest.target
    return f"{manifest.model.variant}/{target['name']}/{target['precision']}/{scheme}"


def _check_bundles(paths: Sequence[Path], manifests: Mapping[str, tuple[Path, Manifest]]) -> None:
    if len(manifests) < len(paths):
        raise UsageError(
            "BUNDLE", "two bundles have the same model, target, precision and scheme", "give each kind once"
        )
    models = {m.model.variant for _, m in manifests.values()}
    shapes = {str(m.inputs[0]["shape"]) for _, m in manifests.values()}
    if len(models) > 1 or len(shapes) > 1:
        raise UsageError(
            "BUNDLE", f"the bundles are of different models ({', '.join(sorted(models))})", "give one model's"
        )
    for path, manifest in manifests.values():
        runnable_target(manifest)
        if len(manifest.inputs) != 1 or len(manifest.inputs[0]["shape"]) != 4:
            raise DataError(str(path), "the model does not take images [N, C, H, W]", "regress takes image models")


def _race(runners: Mapping[str, Runner], first: str | None, second: str, feed: np.ndarray) -> Speed:
    assert first is not None  # asked for only where there is a float bundle
    return race(runners[first], runners[second], feed)


def _against_float(key: str, float_key: str, found: Evaluation, options: RegressOptions) -> list[Check]:
    drop = paired_drop(found.scores[float_key].top1, found.scores[key].top1)
    return [_drop_check(key, float_key, drop, options.max_drop)]


def _drop_check(key: str, against: str, drop: Drop, budget: float) -> Check:
    said = (
        f"top-1 drops by {drop.points:.2f} points (95 % interval {drop.low:.2f} to {drop.high:.2f}, allowed {budget:g}): "
        f"{drop.lost} lost and {drop.gained} gained of {drop.images} images"
    )
    return Check(
        bundle=key, against=against, what="top-1", verdict=decide(drop.low, drop.high, budget), said=said, drop=drop
    )


def _slowdown(key: str, against: str, speed: Speed, allowed: float) -> Check:
    low, high = (100 * (1 / ratio - 1) for ratio in reversed(speed.interval))
    said = f"{speed.ratio:.2f}x the speed of float, slower by {low:.0f} to {high:.0f} % (95 %), allowed {allowed:g} %"
    return Check(bundle=key, against=against, what="speed", verdict=decide(low, high, allowed), said=said, speed=speed)


def _against_baseline(entry: Entry, baseline: Mapping[str, Entry], budget: float) -> Check:
    kept = baseline.get(entry.key)
    mend = "`--update` writes a new baseline"
    if kept is None:
        held = ", ".join(sorted(baseline)) or "nothing"
        raise DataError("baseline", f"it is of {held}, not of {entry.key}", mend)
    if (kept.data, kept.images) != (entry.data, entry.images):
        raise DataError("baseline", f"{entry.key} was measured on other images ({kept.images})", mend)
    drop = paired_drop(from_hex(kept.top1, kept.images), from_hex(entry.top1, entry.images))
    return _drop_check(entry.key, "baseline", drop, budget)
