"""Verifying a finished bundle again: its files are what the manifest says, its artifact still computes the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevision.bundle import inside, open_bundle
from edgevision.errors import DataError, GateError, TargetError
from edgevision.hashing import file_sha256, tree_sha256
from edgevision.manifest import Manifest, Parity
from edgevision.pipeline import SAMPLE
from edgevision.proof import Difference, worst_of
from edgevision.stages.compile import find_target
from edgevision.stages.samples import Samples, read_samples, run_samples, worst_by_output
from edgevision.stages.steady import choose_steady, graph_decides
from edgevision.targets.reference import Reference
from edgevision.targets.target import Emulating, Particular, Runner, Target, WhyNot

if TYPE_CHECKING:
    from edgevision.stages.samples import Array

__all__ = ["Checked", "check_bundle", "open_artifact", "runnable_target", "target_of", "why_not_run"]


#: Options of a build that say how its artifact is called.
_CALLED_WITH = frozenset({"precision", "plugins", "image_input", "mean", "std", "preprocess"})


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Result of a verification: parity with the model's own sample, and with the portable graph on fresh inputs.

    Where the artifact was emulated its parity keeps the status `built, not run`; nothing was compared where it could not
    be emulated either.
    """

    parity: Parity
    against_sample: Difference | None
    against_graph: Difference | None


def check_bundle(path: Path, *, samples: int = 4, seed: int = 1) -> Checked:
    """Hash every file, run the artifact on the bundle's sample and on fresh random inputs.

    Raises:
        DataError: not a bundle, or a file was changed since it was made.
        GateError: the artifact runs and is not equal.
    """
    manifest = open_bundle(path)
    _check_hashes(path, manifest)
    tolerance = manifest.parity.tolerance
    opened, runnable = open_artifact(path, manifest), why_not_run(manifest) is None
    if opened is None:
        return Checked(parity=manifest.parity, against_sample=None, against_graph=None)
    own = read_samples(path / SAMPLE, manifest.parity.reference)
    target = target_of(manifest)
    fresh = _fresh(inside(path, manifest.graph.path), own.feeds[0], target, samples, seed)
    with opened as runner:
        by_output = [worst_by_output(held.outputs, run_samples(runner, held)) for held in (own, fresh)]
    allowed = manifest.parity.tolerances or [tolerance] * len(own.outputs[0])
    for errors in by_output:
        _require(path, errors, allowed, own.reference, "" if runnable else ", emulated")
    sample_error, graph_error = (worst_of(errors) for errors in by_output)
    worst = max(sample_error.max_abs_over_std, graph_error.max_abs_over_std)
    parity = Parity(
        status="verified" if runnable else manifest.parity.status,
        reference=f"{own.reference}, and the portable graph{'' if runnable else ' (emulated)'}",
        samples=1 + samples,
        max_abs_over_std=worst,
        relative_l2_error=max(sample_error.relative_l2, graph_error.relative_l2),
        tolerance=tolerance,
        tolerances=manifest.parity.tolerances,
    )
    return Checked(parity=parity, against_sample=sample_error, against_graph=graph_error)


def target_of(manifest: Manifest, **override: Any) -> Target:
    """The bundle's target with the options it was built with, `override` over them where the target has such fields."""
    entry = find_target(manifest.target["name"])
    known = {f.name for f in fields(entry.create)}
    kept = {k: v for k, v in manifest.target["options"].items() if k in _CALLED_WITH}
    target: Target = entry.create(**{k: v for k, v in {**kept, **override}.items() if k in known})
    return target


def _require(path: Path, errors: Sequence[Difference], allowed: Sequence[float], reference: str, how: str) -> None:
    for index, (error, tolerance) in enumerate(zip(errors, allowed, strict=True)):
        if not error.max_abs_over_std <= tolerance:
            output = f" in output {index}" if len(errors) > 1 else ""
            raise GateError(
                str(path),
                f"the artifact differs from {reference}{output} by {error.max_abs_over_std:.2e} of the output's std "
                f"(allowed {tolerance:.0e}{how})",
                "export it again on this machine; if it stays so, report it",
            )


def runnable_target(manifest: Manifest, **override: Any) -> Target:
    """`target_of`, on a machine that can run the artifact.

    Raises:
        TargetError: this one cannot.
    """
    missing = why_not_run(manifest)
    if missing is not None:
        name, reason = manifest.target["name"], f"this artifact cannot run on this machine: {missing.reason}"
        raise TargetError(name, reason, "run it where its runtime is")
    return target_of(manifest, **override)


def why_not_run(manifest: Manifest) -> WhyNot | None:
    """An artifact that ran where it was built is tried anywhere; one that did not, where its runtime has turned up."""
    return None if manifest.artifact.get("runnable", False) else target_of(manifest).why_not_run()


def open_artifact(path: Path, manifest: Manifest, **override: Any) -> Runner | None:
    """The bundle's artifact on its runtime, or emulated where that is elsewhere; None where it cannot be emulated."""
    target, artifact = target_of(manifest, **override), inside(path, manifest.artifact["path"])
    if why_not_run(manifest) is None:
        return target.load(artifact)
    return target.emulate(artifact) if isinstance(target, Emulating) else None


def _check_hashes(path: Path, manifest: Manifest) -> None:
    artifact = str(manifest.artifact["path"])
    if tree_sha256(inside(path, artifact)) != manifest.artifact["sha256"]:
        raise _changed(path / artifact)
    for part, expected in {manifest.graph.path: manifest.graph.sha256, **manifest.files}.items():
        file = inside(path, part)
        if not file.is_file():
            raise DataError(str(path / part), "the file is missing", "export the bundle again")
        if file_sha256(file) != expected:
            raise _changed(path / part)


def _changed(part: Path) -> DataError:
    return DataError(str(part), "its contents are not what the manifest says", "export the bundle again")


def _fresh(graph: Path, like: Mapping[str, Array], target: Target, samples: int, seed: int) -> Samples:
    """Random inputs that the artifact takes, with what the portable graph computes for them."""
    import onnx_ir

    def draw(_: int, number: int) -> Mapping[str, Array]:
        feed = _like(like, number)
        return dict(target.representable(feed)) if isinstance(target, Particular) else feed

    feeds = [draw(1, seed + index) for index in range(samples)]
    with Reference().load(graph) as runner:
        if not graph_decides(onnx_ir.load(graph)):
            return Samples(feeds=feeds, outputs=[runner(f) for f in feeds], reference="the portable graph")
        chosen = choose_steady(runner, draw, [1] * samples, seed)
    return Samples(feeds=chosen.feeds, outputs=chosen.outputs, reference="the portable graph")


def _like(feed: Mapping[str, Array], seed: int) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    return {
        name: generator.standard_normal(value.shape).astype(value.dtype) if value.dtype.kind == "f" else value
        for name, value in feed.items()
    }
