"""The gate that CI runs: bundles against their float bundle and against the committed baseline, in pairs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevision.bundle import open_bundle
from edgevision.calibration.open_data import open_data
from edgevision.calibration.source import Image, batches
from edgevision.check_bundle import open_artifact, runnable_target, why_not_run
from edgevision.errors import DataError, UsageError
from edgevision.manifest import Manifest
from edgevision.quantize.baseline import Entry, from_hex, to_hex
from edgevision.quantize.evaluate import Evaluation, Score, evaluate, evaluate_pictures
from edgevision.quantize.gate import Drop, Verdict, decide, mean_drop, paired_drop
from edgevision.quantize.judge import Speed, race
from edgevision.quantize.restoration import large_pictures, pairs, scale_between
from edgevision.targets.target import Runner

__all__ = ["Check", "RegressOptions", "Regression", "regress"]


@dataclass(frozen=True, kw_only=True)
class RegressOptions:
    """What to hold the bundles to.

    Attributes:
        data: as `--data` names it.
        max_drop: of top-1 in percentage points, of PSNR in dB for models that enlarge.
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
        what: "top-1", "PSNR" or "speed".
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
    """All checks, the scores behind them, what a new baseline would hold, and the one it was compared with."""

    checks: Sequence[Check]
    evaluation: Evaluation
    entries: Mapping[str, Entry]
    speeds: Mapping[str, Speed]
    baseline: Mapping[str, Entry] = field(default_factory=dict)
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
    with ExitStack() as stack:
        runners = {key: stack.enter_context(_opened(path, m)) for key, (path, m) in manifests.items()}
        emulated = [key for key, (_, m) in manifests.items() if why_not_run(m) is not None]
        first = next(iter(manifests.values()))[1]
        found, feed = _evaluated(runners, float_key or next(iter(runners)), first, options)
        others = [key for key in runners if key != float_key] if float_key and not emulated else []
        clock = time.thread_time if first.target["name"] == "ort" else time.perf_counter
        speeds = {k: race(runners[str(float_key)], runners[k], feed, clock=clock) for k in others}
    checks = [
        c for key in runners if key != float_key and float_key for c in _against_float(key, float_key, found, options)
    ]
    if options.max_slowdown is not None:
        checks += [_slowdown(key, str(float_key), speed, options.max_slowdown) for key, speed in speeds.items()]
    entries = {
        key: _entry(key, found, int(m.artifact["bytes"]), round(speeds[key].ratio, 3) if key in speeds else None)
        for key, (_, m) in manifests.items()
    }
    if baseline is not None:
        checks += [_against_baseline(entry, baseline, options.max_drop) for entry in entries.values()]
    return Regression(
        checks=checks,
        evaluation=found,
        entries=entries,
        speeds=speeds,
        baseline=baseline or {},
        warnings=_warnings(found, emulated),
    )


def _warnings(found: Evaluation, emulated: Sequence[str]) -> tuple[str, ...]:
    unlabelled = "the data has no labels: the reference's own answers stand for them"
    stood_in = f"not run on their own runtime but emulated, and not timed: {', '.join(emulated)}"
    left_out = f"{len(found.skipped)} pictures could not be read and were left out: {'; '.join(found.skipped[:5])}"
    told = ((not found.labelled, unlabelled), (emulated, stood_in), (found.skipped, left_out))
    return tuple(text for holds, text in told if holds)


def _opened(path: Path, manifest: Manifest) -> Runner:
    """TargetError where the artifact can be neither run nor emulated."""
    return open_artifact(path, manifest, threads=1) or runnable_target(manifest).load(path)


def _evaluated(
    runners: Mapping[str, Runner], reference: str, manifest: Manifest, options: RegressOptions
) -> tuple[Evaluation, Image]:
    """Scores of all bundles, and one input to time them on."""
    batch, channels, height, width = manifest.inputs[0]["shape"]
    answer = tuple(d or 1 for d in manifest.outputs[0]["shape"])
    how, shape = manifest.model.preprocess, (channels, height, width)
    scale = scale_between((1, *shape), answer)
    if scale is not None:
        source = large_pictures(options.data, shape, scale, how)
        feed = next(image for image, _ in pairs(source, scale, how, 1))
        return evaluate_pictures(runners, reference, source, scale, how, options.images), feed
    source = open_data(options.data, shape, how)
    feed = next((images for images, _ in batches(source, batch or 1)), np.zeros((batch or 1, *shape), np.float32))
    return evaluate(runners, reference, source, options.images, batch or 1), feed


def _entry(key: str, found: Evaluation, size: int, speed: float | None) -> Entry:
    score = found.scores[key]
    right, psnr = (to_hex(score.top1), None) if isinstance(score, Score) else ("", _rounded(score.psnr))
    return Entry(key=key, data=found.sha256, images=found.images, top1=right, bytes=size, speed=speed, psnr=psnr)


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(v), 4) for v in values)


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
        if len(manifest.inputs) != 1 or len(manifest.inputs[0]["shape"]) != 4:
            raise DataError(str(path), "the model does not take images [N, C, H, W]", "regress takes image models")


def _against_float(key: str, float_key: str, found: Evaluation, options: RegressOptions) -> list[Check]:
    drop = found.scores[float_key].drop_to(found.scores[key])  # type: ignore[arg-type]  # both are of one kind
    return [_drop_check(key, float_key, drop, options.max_drop)]


def _drop_check(key: str, against: str, drop: Drop, budget: float) -> Check:
    said = (
        f"{drop.what} drops by {drop.points:.2f} {drop.unit} (95 % interval {drop.low:.2f} to {drop.high:.2f}, allowed "
        f"{budget:g}): {drop.lost} lost and {drop.gained} gained of {drop.images} images"
    )
    return Check(
        bundle=key, against=against, what=drop.what, verdict=decide(drop.low, drop.high, budget), said=said, drop=drop
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
    if kept.psnr is not None and entry.psnr is not None:
        drop = mean_drop(np.asarray(kept.psnr), np.asarray(entry.psnr), "PSNR", "dB")
    else:
        drop = paired_drop(from_hex(kept.top1, kept.images), from_hex(entry.top1, entry.images))
    return _drop_check(entry.key, "baseline", drop, budget)
