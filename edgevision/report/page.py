"""The report's contents in order, whatever they are rendered to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgevision.report import (
    efficiency_plots,
    efficiency_tables,
    latency_tables,
    plots,
    proof_tables,
    quantization_tables,
    regress_tables,
)
from edgevision.report.entry import Entry, entries_of
from edgevision.report.sensor_table import sensor_table
from edgevision.report.sources import Source
from edgevision.report.table import Table

__all__ = ["Page", "Section", "make_page"]


@dataclass(frozen=True, kw_only=True)
class Section:
    """Figures and tables under one heading; `folded` hides what few readers want until they ask."""

    title: str
    tables: Sequence[Table] = ()
    figures: Sequence[str] = ()
    folded: bool = False


@dataclass(frozen=True, kw_only=True)
class Page:
    """The whole report.

    Attributes:
        summary: sentences that stand first.
        warnings: what every reader must know before believing a number.
    """

    title: str
    summary: Sequence[str]
    warnings: Sequence[str]
    sections: Sequence[Section]
    entries: Sequence[Entry] = field(default=())


def make_page(sources: Sequence[Source]) -> Page:
    """Arrange profiles, manifests and regressions into a page."""
    entries = entries_of(sources)
    manifests = [s.document for s in sources if s.kind == "manifest"]
    regressions = [s.document for s in sources if s.kind == "regress"]
    sections = [*_measured(entries), *_compared(regressions), *_quantized(manifests), *_proven(manifests)]
    compared = [name.split("/")[0] for r in regressions for name in r["scores"]]
    named = list(dict.fromkeys([e.model for e in entries] + [m["model"]["variant"] for m in manifests] + compared))
    return Page(
        title="edgevision: " + ", ".join(named[:4]) + (" …" if len(named) > 4 else ""),
        summary=_summary(entries, len(manifests)),
        warnings=_warnings(entries, sources),
        sections=sections,
        entries=entries,
    )


def _measured(entries: Sequence[Entry]) -> list[Section]:
    if not entries:
        return []
    maybe = (latency_tables.device_table(entries), latency_tables.baseline_table(entries))
    latency = (latency_tables.latency_table(entries), *(t for t in maybe if t is not None))
    sections = [
        Section(title="Latency", tables=latency, figures=(plots.medians(entries), plots.distributions(entries)))
    ]
    cloud, accuracy = plots.scatter(entries), latency_tables.accuracy_table(entries)
    if cloud is not None and accuracy is not None:
        sections.append(Section(title="Accuracy and latency", tables=(accuracy,), figures=(cloud,)))
    bars = [figure for figure in map(plots.ops, entries) if figure is not None]
    tables = [table for table in map(proof_tables.op_table, entries) if table is not None]
    if tables:
        sections.append(Section(title="Where the time goes", figures=bars))
        sections.append(Section(title="Per op, all types", tables=tables, folded=True))
    sections += _efficiency(entries)
    sections.append(Section(title="Runs in order", figures=[plots.runs_in_order(e) for e in entries]))
    rest = (latency_tables.rest_table(entries), proof_tables.environment_table(entries), sensor_table(entries))
    return [*sections, Section(title="Around the runs", tables=[table for table in rest if table is not None])]


def _efficiency(entries: Sequence[Entry]) -> list[Section]:
    table, gap = efficiency_tables.efficiency_table(entries), efficiency_plots.gaps(entries)
    if table is None or gap is None:
        return []
    forms = [efficiency_plots.waterline(e, form) for e in entries for form in ("unfused", "block_fused")]
    perhaps = [
        make(e) for e in entries for make in (efficiency_tables.op_efficiency_table, efficiency_tables.water_table)
    ]
    return [
        Section(title="Efficiency", tables=(table,), figures=(gap, *(f for f in forms if f is not None))),
        Section(title="Efficiency per op, and what is under water", tables=[t for t in perhaps if t], folded=True),
    ]


def _compared(regressions: Sequence[regress_tables.Regression]) -> list[Section]:
    makers = (regress_tables.check_table, regress_tables.score_table, regress_tables.picture_table)
    tables = [table for make in makers if (table := make(regressions)) is not None]
    return [Section(title="Regression", tables=tables)] if tables else []


def _quantized(manifests: Sequence[proof_tables.Manifest]) -> list[Section]:
    whole = quantization_tables.scheme_table(manifests)
    if whole is None:
        return []
    layers = [t for t in map(quantization_tables.decision_table, manifests) if t is not None]
    folded = [Section(title="Quantization decisions, layer by layer", tables=layers, folded=True)] if layers else []
    return [Section(title="Quantization", tables=(whole,)), *folded]


def _proven(manifests: Sequence[proof_tables.Manifest]) -> list[Section]:
    if not manifests:
        return []
    sections = [Section(title="Proof", tables=(proof_tables.parity_table(manifests),))]
    for manifest in manifests:
        merged = proof_tables.reparam_table(manifest)
        tables = [proof_tables.stage_table(manifest), *([] if merged is None else [merged])]
        name = (
            f"{manifest['model']['variant']} {manifest['target'].get('precision')} ({manifest['target'].get('name')})"
        )
        sections.append(Section(title=f"Export of {name}", tables=tables, folded=True))
    return sections


def _summary(entries: Sequence[Entry], manifests: int) -> list[str]:
    counts = ((len(entries), "profile"), (len({e.device for e in entries}), "device"), (manifests, "manifest"))
    told = [", ".join(f"{n} {what}{'' if n == 1 else 's'}" for n, what in counts) + "."]
    stable = [e for e in entries if e.verdict == "stable"]
    if stable:
        best = min(stable, key=lambda e: e.p50)
        low, high = best.interval
        told.append(
            f"Fastest stable: {best.label}, p50 {best.p50:.4g} ms "
            f"(95 % interval {low:.4g} to {high:.4g}, n = {len(best.samples)})."
        )
    return told


def _warnings(entries: Sequence[Entry], sources: Sequence[Source]) -> list[str]:
    told = [
        f"{e.label}: {e.verdict} ({'; '.join(e.reasons) or 'declared so'})" for e in entries if e.verdict != "stable"
    ]
    told += [
        f"{s.document['model']['variant']}: {warning}"
        for s in sources
        if s.kind == "manifest"
        for warning in s.document.get("warnings") or ()
    ]
    return list(dict.fromkeys(told))
