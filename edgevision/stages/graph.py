"""The graph stages in a row, capture to deploy form, each proven before the next begins, and kept in the cache."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cache import Cache, stage_key
from edgevision.hashing import file_sha256, model_sha256
from edgevision.manifest import Record, as_json
from edgevision.onnx_file import save_onnx
from edgevision.stages.capture import CaptureOptions, capture
from edgevision.stages.prove import Original, prove_against_graph
from edgevision.stages.samples import Samples
from edgevision.stages.timing import Report, Stopwatch, unreported

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
        reparam: totals `before` and `after`, `applied` and `declined` rows, as the manifest has them.
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
        report("cache")
        kept = _read(entry)
        if kept is not None:
            return kept
        cache.drop(key)
    report("capture")
    captured, record = capture(loaded, options, samples)
    graph = merge(captured, samples, [record], report)
    if key:
        cache.put(key, lambda folder: _write(graph, folder))
    return graph


def merge(model: ir.Model, samples: Samples, before: Sequence[Record], report: Report = unreported) -> DeployGraph:
    """The reparam and passes stages on any graph: its deploy form, proven equal to it. `model` is changed in place."""
    from edgevision.passes.attach_bodies import attach_bodies
    from edgevision.passes.tidy import tidy
    from edgevision.reparam import reparameterize
    from edgevision.reparam.accounting import totals

    report("reparam")
    watch = Stopwatch("reparam")
    with watch.proving():
        original = Original.of(model, samples)
    went_in, before_totals = model_sha256(model), totals(model)
    result = reparameterize(model)
    merged = result.model
    with watch.proving():
        error = prove_against_graph(original, merged, "reparam")
    notes = [f"{len(result.applied)} merges applied, {len(result.declined)} declined"]
    records = [*before, watch.record(inputs=[went_in], outputs=[model_sha256(merged)], error=error, notes=notes)]

    report("passes")
    watch = Stopwatch("passes")
    went_in = model_sha256(merged)
    tidy(merged)
    attach_bodies(merged)
    with watch.proving():
        error = prove_against_graph(original, merged, "passes")
    records.append(watch.record(inputs=[went_in], outputs=[model_sha256(merged)], error=error))
    rows = {
        "before": before_totals,
        "after": totals(merged),
        "applied": as_json(result.applied),
        "declined": as_json(result.declined),
    }
    return DeployGraph(model=merged, records=tuple(records), reparam=rows)


def _dependencies(loaded: Loaded, options: CaptureOptions) -> dict[str, Any]:
    return {
        "model": loaded.identity,
        "weights": loaded.digest,
        "inputs": as_json(loaded.inputs),
        "options": as_json(options),
    }


def _write(graph: DeployGraph, folder: Path) -> None:
    path = folder / "model.onnx"
    save_onnx(graph.model, path)
    document = {"records": as_json(graph.records), "reparam": graph.reparam, "sha256": file_sha256(path)}
    (folder / "stages.json").write_text(json.dumps(document), encoding="utf-8")


def _read(folder: Path) -> DeployGraph | None:
    """The graph kept in a cache entry; None when the entry is damaged, or went while we looked."""
    import onnx_ir

    path = folder / "model.onnx"
    try:
        document = json.loads((folder / "stages.json").read_text(encoding="utf-8"))
        if file_sha256(path) != document["sha256"]:
            return None
        records = [Record(**{**r, "notes": (*r["notes"], "from the cache")}) for r in document["records"]]
        model = onnx_ir.load(path)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return DeployGraph(model=model, records=tuple(records), reparam=document["reparam"])
