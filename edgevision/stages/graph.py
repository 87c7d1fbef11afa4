"""The graph stages in a row, capture to deploy form, each proven before the next begins, and kept in the cache."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cache import Cache, stage_key
from edgevision.hashing import model_sha256
from edgevision.manifest import Record, as_json
from edgevision.stages.capture import CaptureOptions, capture
from edgevision.stages.prove import prove_against_graph, prove_against_module
from edgevision.stages.samples import Samples
from edgevision.stages.timing import Report, Stopwatch

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevision.stages.load import Loaded

__all__ = ["DeployGraph", "deploy_graph", "merge"]


@dataclass(frozen=True, kw_only=True)
class DeployGraph:
    """A merged and tidied graph with the records of the stages that made it.

    Attributes:
        model: the graph; custom nodes carry their canonical bodies.
        records: one per stage.
        reparam: `applied` and `declined` rows, as the manifest has them.
    """

    model: ir.Model
    records: Sequence[Record]
    reparam: dict[str, Any]


def deploy_graph(
    loaded: Loaded, options: CaptureOptions, samples: Samples, cache: Cache, report: Report
) -> DeployGraph:
    """Capture, prove, merge, prove, tidy; or take all of it from the cache."""
    key = stage_key("deploy_graph", _dependencies(loaded, options)) if loaded.cacheable else ""
    entry = cache.get(key) if key else None
    if entry is not None:
        report("capture")
        return _read(entry)
    report("capture")
    captured, record = capture(loaded, options)
    record = _with_error(record, prove_against_module(captured, loaded, samples))
    report("reparam")
    graph = merge(captured, samples, [record])
    if key:
        cache.put(key, lambda folder: _write(graph, folder))
    return graph


def merge(model: ir.Model, samples: Samples, before: Sequence[Record]) -> DeployGraph:
    """The reparam and passes stages on any graph: its deploy form, proven equal to it."""
    from edgevision.passes.attach_bodies import attach_bodies
    from edgevision.passes.tidy import tidy
    from edgevision.reparam import reparameterize

    watch = Stopwatch("reparam")
    original = model.clone()
    went_in = model_sha256(model)
    result = reparameterize(model)
    merged = result.model
    error = prove_against_graph(original, merged, samples, "reparam")
    notes = [f"{len(result.applied)} merges applied, {len(result.declined)} declined"]
    records = [*before, watch.record(inputs=[went_in], outputs=[model_sha256(merged)], error=error, notes=notes)]

    watch = Stopwatch("passes")
    went_in = model_sha256(merged)
    tidy(merged)
    attach_bodies(merged)
    error = prove_against_graph(original, merged, samples, "passes")
    records.append(watch.record(inputs=[went_in], outputs=[model_sha256(merged)], error=error))
    rows = {"applied": as_json(result.applied), "declined": as_json(result.declined)}
    return DeployGraph(model=merged, records=tuple(records), reparam=rows)


def _dependencies(loaded: Loaded, options: CaptureOptions) -> dict[str, Any]:
    return {
        "model": loaded.identity,
        "weights": loaded.digest,
        "inputs": as_json(loaded.inputs),
        "options": as_json(options),
    }


def _with_error(record: Record, error: Any) -> Record:
    from dataclasses import replace

    return replace(record, max_abs_over_std=error.max_abs_over_std, relative_l2_error=error.relative_l2)


def _write(graph: DeployGraph, folder: Path) -> None:
    import onnx_ir

    onnx_ir.save(graph.model, folder / "model.onnx")
    document = {"records": as_json(graph.records), "reparam": graph.reparam}
    (folder / "stages.json").write_text(json.dumps(document), encoding="utf-8")


def _read(folder: Path) -> DeployGraph:
    import onnx_ir

    document = json.loads((folder / "stages.json").read_text(encoding="utf-8"))
    records = [Record(**{**r, "notes": (*r["notes"], "from the cache")}) for r in document["records"]]
    return DeployGraph(model=onnx_ir.load(folder / "model.onnx"), records=tuple(records), reparam=document["reparam"])
