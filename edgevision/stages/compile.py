"""compile: the portable graph to the target's artifact, in the bundle's folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edgevision.errors import TargetError, UsageError
from edgevision.hashing import file_sha256, tree_sha256
from edgevision.manifest import Record
from edgevision.stages.timing import Report, Stopwatch
from edgevision.targets.target import Artifact, Target, TargetEntry, targets

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["compile_graph", "find_target", "informed_target", "make_target"]


def find_target(name: str) -> TargetEntry:
    """The target called `name`.

    Raises:
        UsageError: there is none; all are listed and none is chosen.
    """
    entry = targets().get(name)
    if entry is None:
        raise UsageError(f"--target {name}", "there is no such target", f"one of: {', '.join(sorted(targets()))}")
    return entry


def make_target(entry: TargetEntry, options: Mapping[str, Any]) -> Target:
    """The target with its options; the package it needs is looked for, not imported.

    Raises:
        UsageError: an option the target does not have, or a precision it does not know.
        TargetError: its package is missing.
    """
    known = {f.name for f in dataclasses.fields(entry.create)}
    for name in options:
        if name not in known:
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(flag, f"the target {entry.name} has no such option", f"leave {flag} out")
    precision = options.get("precision", "fp32")
    if precision not in entry.precisions:
        raise UsageError(
            f"--precision {precision}",
            f"the target {entry.name} does not build it",
            f"one of: {', '.join(entry.precisions)}",
        )
    target: Target = entry.create(**options)
    missing = target.why_not()
    if missing is not None:
        raise TargetError(f"--target {entry.name}", missing.reason, missing.mend)
    return target


def informed_target(target: Target, preprocess: Mapping[str, Any] | None) -> Target:
    """The target told how the model's images are made, where it has a use for that."""
    if not hasattr(target, "preprocess"):
        return target
    informed: Any = target  # a frozen dataclass, as every target is
    return cast("Target", dataclasses.replace(informed, preprocess=preprocess))


def compile_graph(
    model: ir.Model, graph_path: Path, target: Target, folder: Path, report: Report
) -> tuple[Artifact, Record]:
    """Build the artifact of a graph that has been written to `graph_path` (inside `folder`)."""
    watch = Stopwatch("compile")
    artifact = target.build(model, folder, lambda step, share: report(f"compile: {step} {share:.0%}"))
    record = watch.record(
        inputs=[file_sha256(graph_path)],
        outputs=[tree_sha256(artifact.path)],
        notes=(*artifact.notes, *artifact.changes),
    )
    return artifact, record
