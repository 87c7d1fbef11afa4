"""The measurements as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["markdown"]

_TITLES = {
    "latency": "{subject}, {threads} thread(s)",
    "scaling": "{subject}: one thread and {threads}",
    "scan": "Scan alone, D x N x L = {subject}, {threads} thread(s)",
    "shift": "Linear layer, tokens x inputs x outputs = {subject}, {threads} thread(s)",
    "merging": "{subject} before and after merging, {threads} thread(s)",
}


def markdown(results: Mapping[str, Any]) -> str:
    """The page, with a final newline."""
    tables = results["tables"]
    lines = [f"# Bench: {results['cpu']['name']}, {results['cpu']['count']} processors", ""]
    lines += [*sorted({table["versions"] for table in tables}), ""]
    lines += [
        "Milliseconds, with the 95 % interval on the median; ratio: how many times the first row's, in the same round. "
        "Processor: time that the processors spent on it, which waiting for a busy machine does not add to.",
        "",
    ]
    for kind, title in _TITLES.items():
        for table in (one for one in tables if one["kind"] == kind):
            lines += _section(title.format(**table), table)
    facts = [f"- {fact}" for table in tables if table["kind"] == "facts" for fact in _facts(table, tables)]
    return "\n".join([*lines, "## Facts", "", *facts, ""])


def _section(title: str, table: Mapping[str, Any]) -> list[str]:
    sizes = table.get("bytes") or {}
    lines = [
        f"## {title}",
        "",
        "| candidate | median | interval | least | ratio | interval | processor | ratio | runs |"
        + (" file, KiB | of the first's |" if sizes else ""),
        "|---|---|---|---|---|---|---|---|---|" + ("---|---|" if sizes else ""),
    ]
    for row in table["rows"]:
        low, high = row["interval"]
        below, above = row["ratio_interval"]
        lines.append(
            f"| {row['name']} | {row['median']:.3g} | {low:.3g} to {high:.3g} | {row['least']:.3g} | {row['ratio']:.2f} "
            f"| {below:.2f} to {above:.2f} | {row['processor']:.3g} | {row['processor_ratio']:.2f} | {row['runs']} |"
            + (_size(sizes, row["name"]) if sizes else "")
        )
    empty = " |" * (9 if sizes else 7)
    lines += [f"| {name} | not run: {why} |{empty}" for name, why in table["missing"].items()]
    notes = [f"{note}." for note in table.get("notes", ())]
    load = table["load"]
    state = f"**noisy**: {'; '.join(table['noise'])}" if table["noise"] else "quiet"
    average = ", ".join(f"{one:.1f}" for one in load["average"])
    return [
        *lines,
        "",
        *notes,
        f"{table['when']}. Machine: {state} (load average {average}; {load['foreign']:.2f} processors busy elsewhere).",
        "",
    ]


def _size(sizes: Mapping[str, int], name: str) -> str:
    first = next(iter(sizes.values()))
    return f" {sizes[name] / 2**10:.1f} | {sizes[name] / first:.2f} |"


def _facts(facts: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The single numbers of one network, as sentences."""
    name, peak = facts["subject"], facts["gemm_gflops"]
    yield f"{name}: float32 GEMM on one core at the time: {peak:.0f} GFLOP/s"
    if facts["macs"]:
        least = facts["least"]
        done = 2 * facts["macs"] / (least / 1e3) / 1e9
        yield f"{name}: {least:.2f} ms at best, {done:.0f} GFLOP/s, {done / peak:.0%} of that peak"
    yield f"{name}: the scan and the wavelets are {facts['scan_and_wavelet_share']:.1%} of its time"
    yield f"{name}: a session opens in {facts['session_seconds']:.2f} s"
    if facts["library_bytes"]:
        yield f"the kernel library has {facts['library_bytes'] / 2**20:.2f} MiB"
    if facts["export_seconds"]:
        yield f"{name}: the plain export took {facts['export_seconds']:.0f} s"
