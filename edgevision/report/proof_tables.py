"""Tables of what was proven and with what: parity, stages, merges, per-op times, environment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from edgevision.report.entry import Entry
from edgevision.report.table import Cell, Table, cell, span

__all__ = ["environment_table", "op_table", "parity_table", "reparam_table", "stage_table"]

Manifest = Mapping[str, Any]


def parity_table(manifests: Sequence[Manifest]) -> Table:
    """How each artifact compares with the model it was made of."""
    rows = []
    for m in manifests:
        parity, graph = m["parity"], m["graph"]
        rows.append(
            (
                cell(m["model"]["variant"]),
                cell(f"{m['target'].get('name')} {m['target'].get('precision')}"),
                cell(parity["status"]),
                cell(parity["max_abs_over_std"], ".1e"),
                cell(parity["relative_l2_error"], ".1e"),
                cell(parity["tolerance"], ".0e"),
                cell(parity["samples"]),
                cell(len(m.get("proofs") or ())),
                cell(graph["nodes"]),
                cell(m["model"]["params"]),
                cell(m["artifact"].get("bytes")),
                cell((m["model"]["weights"] or {}).get("source")),
            )
        )
    names = ("model", "target", "status", "max abs/std", "relative L2", "allowed (max abs/std)", "n (samples)")
    more = ("other proofs (n)", "nodes (n)", "parameters (n)", "artifact (bytes)", "weights")
    note = "Largest difference over n samples; nodes are counted after inlining every body."
    return Table(title="Parity of the exports", note=note, columns=names + more, rows=rows)


def stage_table(manifest: Manifest) -> Table:
    """What an export did, step by step."""
    rows = [
        (
            cell(s["name"]),
            cell(s["seconds"], ".2f"),
            cell(s.get("proof_seconds"), ".2f"),
            cell(s.get("max_abs_over_std"), ".1e"),
            cell("; ".join(s.get("notes") or ())),
        )
        for s in manifest["stages"]
    ]
    names = ("stage", "time (s, n = 1)", "of it proof (s, n = 1)", "error introduced (max abs/std)", "notes")
    return Table(title=f"Stages of {_title(manifest)}", note="One export, one run.", columns=names, rows=rows)


def reparam_table(manifest: Manifest) -> Table | None:
    """Merges by equation, and every one that was declined; None when the export merged nothing."""
    found = manifest.get("reparam") or {}
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in found.get("applied") or ():
        groups[row["equation"]].append(row)
    rows: list[tuple[Cell, ...]] = [
        (
            cell(equation),
            cell(len(group)),
            cell(sum(r["params_before"] - r["params_after"] for r in group)),
            cell(sum(r["macs_before"] - r["macs_after"] for r in group)),
            cell(sum(r["nodes_before"] - r["nodes_after"] for r in group)),
            cell(max(r["error_float64"] for r in group), ".1e"),
            cell(max(r["error_float32"] for r in group), ".1e"),
            cell(""),
        )
        for equation, group in groups.items()
    ]
    for row in found.get("declined") or ():
        reason = f"declined: {row.get('reason') or row.get('note') or ''}"
        rows.append((cell(row.get("equation", "")), cell(0), *[cell(None)] * 5, cell(reason)))
    names = ("equation", "merges (n)", "parameters saved", "MACs saved", "nodes saved")
    more = ("worst error before rounding (max abs/std)", "after, float32 (max abs/std)", "note")
    note = "Each merge is proven on its own subgraph; the worst of n is shown."
    return Table(title=f"Merges of {_title(manifest)}", note=note, columns=names + more, rows=rows) if rows else None


def op_table(entry: Entry) -> Table | None:
    """Time per op type; None when the profile was made without --per-op."""
    per_op = entry.document.get("per_op")
    if not per_op:
        return None
    rows = [
        (
            *(cell(r["op"]), cell(r["count"]), cell(r["ms"], ".3f")),
            span(*(r.get("interval") or (None, None))),
            *(cell(r.get("n")), cell(r["share"], ".1%")),
        )
        for r in per_op
    ]
    note = (
        "Mean of n traced runs and two standard errors; bodies inside an op counted once; tracing itself slows the run."
    )
    names = ("op", "nodes (n)", "time (ms)", "interval (ms)", "n (runs)", "share")
    return Table(title=f"Per op: {entry.label}", note=note, columns=names, rows=rows)


def environment_table(entries: Sequence[Entry]) -> Table:
    """The machine of every profile, before and after."""
    rows = []
    for e in entries:
        environment = e.document.get("environment") or {}
        before, after = environment.get("before") or {}, environment.get("after") or {}
        kind = "emulated" if e.document["device"].get("emulated") else e.document["device"].get("kind")
        row = [cell(e.label), cell(kind), cell(e.machine)]
        for key in ("governor", "clock_mhz", "temperature_c", "load_1min", "throttled"):
            pair = [_reading(side.get(key)) for side in (before, after)]
            row.append(cell(None if pair == [None, None] else " → ".join(p or "—" for p in pair)))
        rows.append(tuple(row))
    names = ("measurement", "kind", "machine", "governor", "clocks (MHz)", "temperature (°C)", "load (1 min)")
    note = "Before → after the runs; n = 1 reading each. — : no sensor."
    return Table(title="Environment", note=note, columns=(*names, "throttle events since boot (n)"), rows=rows)


def _reading(value: object) -> str | None:
    if value is None:
        return None
    return "/".join(f"{v:.0f}" for v in value) if isinstance(value, list) else str(value)


def _title(manifest: Manifest) -> str:
    return f"{manifest['model']['variant']} {manifest['target'].get('precision')} ({manifest['target'].get('name')})"
