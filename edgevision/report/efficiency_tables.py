"""Tables of the efficiency analysis: each measurement against its device's peaks, and each op type against its bounds."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.report.efficiency_plots import analysed
from edgevision.report.entry import Entry
from edgevision.report.table import Table, cell, ms

__all__ = ["efficiency_table", "op_efficiency_table", "water_table"]

#: Kernels listed by name; all of them are in the profile.
MOST = 15


def efficiency_table(entries: Sequence[Entry]) -> Table | None:
    """Peaks, work, ideal and attainable times; None when no profile has the analysis."""
    rows = []
    for e in entries:
        found = analysed(e)
        if found is None:
            continue
        peaks = found["peaks"]
        rows.append(
            (
                cell(e.what),
                cell(e.device),
                cell(peaks["gemm_gops"].get(e.precision) or peaks["gemm_gops"]["fp32"], ".1f"),
                cell(peaks["copy_gb_s"], ".1f"),
                cell(found["macs"] / 1e6, ".1f"),
                ms(found["ideal_ms"]),
                ms(found["unfused"]["attainable_ms"]),
                ms(found["block_fused"]["attainable_ms"]),
                ms(e.p50),
                cell(found["computational_efficiency"], ".1%"),
                cell(" to ".join(f"{found['ideal_ms'] / ms:.1%}" for ms in reversed(e.interval))),
                cell(len(e.samples)),
            )
        )
    names = ("model", "device", "GEMM peak (1e9 ops/s)", "copy peak (1e9 B/s)", "work (1e6 MACs)", "ideal (ms)")
    more = ("attainable, unfused (ms)", "attainable, blocks fused (ms)", "measured p50 (ms)", "efficiency")
    note = (
        "Ideal: all operations at the GEMM peak of the model's precision. Attainable: every kernel (or fused block) bound by "
        "its operations or its bytes, whichever is slower. Efficiency: ideal over measured; above 100 % the peaks were "
        "measured on a busy machine. Peaks: fastest of the runs that fit in 0.4 s."
    )
    columns = (*names, *more, "95 % interval", "n (runs)")
    return Table(title="Efficiency", note=note, columns=columns, rows=rows) if rows else None


def op_efficiency_table(entry: Entry) -> Table | None:
    """Per op type: work, bounds, measured time; None without the analysis."""
    found = analysed(entry)
    if found is None:
        return None
    rows = [
        (
            cell(row["op"]),
            cell(row["count"]),
            cell(row["under_water"]),
            cell(row["macs"] / 1e6, ".3f"),
            cell(row["bytes"] / 1e6, ".3f"),
            ms(row["ideal_ms"]),
            ms(row["attainable_ms"]),
            ms(row["ms"]),
            cell(row["computational_efficiency"], ".1%"),
        )
        for row in found["per_op"]
    ]
    names = ("op", "kernels (n)", "under water (n)", "work (1e6 MACs)", "bytes (1e6)", "ideal (ms)", "attainable (ms)")
    note = "Work from the portable graph, time from the runtime's trace; — : the runtime names no such op."
    return Table(
        title=f"Efficiency per op: {entry.label}", note=note, columns=(*names, "traced (ms)", "efficiency"), rows=rows
    )


def water_table(entry: Entry) -> Table | None:
    """The kernels deepest under water by what their bytes cost beyond their arithmetic."""
    found = analysed(entry)
    if found is None:
        return None
    peak = (found["peaks"]["gemm_gops"].get(entry.precision) or found["peaks"]["gemm_gops"]["fp32"]) * 1e6
    deep = [(k["ms"] - k["ops"] / peak, k) for k in found["unfused"]["kernels"] if k["under_water"]]
    deep.sort(key=lambda pair: -pair[0])
    rows = [
        (
            cell(k["name"]),
            cell(k["op"]),
            cell(k["ops"] / 1e6, ".3f"),
            cell(k["bytes"] / 1e6, ".3f"),
            cell(k["ops"] / k["bytes"], ".2f"),
            ms(k["ms"]),
            ms(lost),
        )
        for lost, k in deep[:MOST]
    ]
    names = ("kernel", "op", "operations (1e6)", "bytes (1e6)", "ops/byte", "attainable (ms)", "of it waiting (ms)")
    note = f"The {len(rows)} deepest of {len(deep)} under water, unfused; waiting is what bytes cost beyond arithmetic."
    return Table(title=f"Under water: {entry.label}", note=note, columns=names, rows=rows)
