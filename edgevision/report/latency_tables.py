"""Tables of what was measured: latency, the rest of each profile, models against devices, and a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgevision.report.entry import Entry
from edgevision.report.quantile import quantile, quantile_interval
from edgevision.report.table import Cell, Table, cell, ms, span

__all__ = ["accuracy_table", "baseline_table", "device_table", "latency_table", "rest_table"]


def latency_table(entries: Sequence[Entry]) -> Table:
    """Percentiles with their intervals, and whether they may be believed."""
    rows = []
    for e in entries:
        ordered = sorted(e.samples)
        rows.append(
            (
                cell(e.what),
                cell(e.device),
                ms(e.p50),
                span(*e.interval),
                ms(quantile(ordered, 0.9)),
                span(*quantile_interval(ordered, 0.9)),
                ms(quantile(ordered, 0.99)),
                span(*quantile_interval(ordered, 0.99)),
                cell(e.cv, ".1%"),
                cell(len(e.samples)),
                cell("as the runtime chooses" if e.threads == 0 else e.threads),
                cell(e.verdict),
            )
        )
    columns = ("model", "device", "p50 (ms)", "95 % interval (ms)", "p90 (ms)", "95 % interval (ms)", "p99 (ms)")
    more = ("95 % interval (ms)", "coefficient of variation", "n (runs)", "threads", "verdict")
    note = (
        "Model only, batch as exported. n is the number of timed runs; intervals are from order statistics, "
        "and … marks a side for which n is too small."
    )
    return Table(title="Latency", note=note, columns=columns + more, rows=rows)


def rest_table(entries: Sequence[Entry]) -> Table:
    """End to end, cold start, memory, energy, placement and parity of every profile."""
    rows = []
    for e in entries:
        whole = e.document.get("end_to_end_ms") or {}
        low, high = whole.get("interval") or (None, None)
        parity = e.document.get("parity") or {}
        placement = e.document.get("placement")
        rows.append(
            (
                cell(e.what),
                cell(e.device),
                ms(whole.get("p50")),
                span(low, high) if whole else cell(None),
                cell(len(whole.get("samples", ())) or None),
                ms(e.document.get("cold_start_ms")),
                cell(e.document.get("peak_memory_mib"), ".0f"),
                _energy(e.document),
                cell(
                    None if placement is None else ", ".join(f"{n} nodes on {where}" for where, n in placement.items())
                ),
                cell(parity.get("max_abs_over_std"), ".1e"),
                cell(parity.get("tolerance"), ".0e"),
            )
        )
    columns = ("model", "device", "end to end p50 (ms)", "95 % interval (ms)", "n (runs)", "cold start (ms, n = 1)")
    more = (
        "peak memory (MiB, n = 1)",
        "energy (mJ, interval, n readings)",
        "placement",
        "parity on the device (max abs/std)",
        "allowed",
    )
    note = "— : not measured or no sensor. Parity: the device's own output against the bundle's sample."
    return Table(title="Start, memory, placement, parity", note=note, columns=columns + more, rows=rows)


def _energy(document: Mapping[str, Any]) -> Cell:
    """Energy of an inference with its interval, where the profile was made with readings during the runs."""
    value = document.get("energy_mj")
    told = (document.get("sensors") or {}).get("energy")
    if value is None or not told:
        return cell(value, ".3g")
    low, high = told["interval"]
    return Cell(f"{value:.3g} ({low:.3g} to {high:.3g}, n = {told['n']})", float(value))


def device_table(entries: Sequence[Entry]) -> Table | None:
    """Models down, devices across; None when there is a single device."""
    devices = list(dict.fromkeys(e.device for e in entries))
    if len(devices) < 2:
        return None
    rows = []
    for what in dict.fromkeys(e.what for e in entries):
        of_device = {e.device: e for e in reversed(entries) if e.what == what}
        rows.append((cell(what), *(_median(of_device.get(device)) for device in devices)))
    note = "Median (ms), its 95 % interval and n."
    return Table(title="Models and devices", note=note, columns=("model", *devices), rows=rows)


def _median(entry: Entry | None) -> Cell:
    if entry is None:
        return cell(None)
    text = f"{ms(entry.p50).text} ({span(*entry.interval).text}, n = {len(entry.samples)})"
    return Cell(text if entry.verdict == "stable" else f"{text}, {entry.verdict}", entry.p50)


def baseline_table(entries: Sequence[Entry]) -> Table | None:
    """Each measurement over the first one of the same model on the same device; None when nothing can be compared."""
    rows = []
    for e in entries:
        base = next(b for b in entries if (b.model, b.device) == (e.model, e.device))
        if base is e:
            continue
        low, high = base.interval[0] / e.interval[1], base.interval[1] / e.interval[0]
        told = "the intervals overlap" if low <= 1 <= high else ("faster" if low > 1 else "slower")
        columns = (cell(e.what), cell(e.device), cell(base.what), cell(base.p50 / e.p50, ".2f"))
        rows.append((*columns, Cell(f"{low:.2f} to {high:.2f}", high - low), cell(len(e.samples)), cell(told)))
    if not rows:
        return None
    note = "Speed as a ratio of medians, baseline over measured: above 1 is faster. The interval is from both medians'."
    names = ("model", "device", "baseline", "speed (x)", "interval (x)", "n (runs)", "verdict")
    return Table(title="Against the first of its model and device", note=note, columns=names, rows=rows)


def accuracy_table(entries: Sequence[Entry]) -> Table | None:
    """Accuracy beside latency; None when no file holds an accuracy."""
    rows = []
    for e in entries:
        if e.accuracy is None:
            continue
        a = e.accuracy
        between = None if a.interval is None else f"{a.interval[0]:.2%} to {a.interval[1]:.2%}"
        rows.append((cell(e.label), cell(a.metric), cell(a.value, ".2%"), cell(between), cell(a.n), ms(e.p50)))
    names = ("model", "metric", "accuracy", "95 % interval", "n (images)", "p50 (ms)")
    return Table(title="Accuracy and latency", note="n images evaluated.", columns=names, rows=rows) if rows else None
