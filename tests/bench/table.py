"""The measurements as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["markdown"]


def markdown(results: Mapping[str, Any]) -> str:
    """The page, with a final newline."""
    lines = [f"# Bench: {results['cpu']['name']}, {results['cpu']['count']} processors", "", results["versions"], ""]
    lines += [
        "Milliseconds, with the 95 % interval on the median; ratio: how many times the first row's, in the same round. "
        "Processor: time that the processors spent on it, which waiting for a busy machine does not add to.",
        "",
    ]
    for run in results["runs"]:
        threads = f"{run['threads']} thread{'s' if run['threads'] > 1 else ''}"
        for name, table in run["models"].items():
            lines += _section(f"{name}, {threads}", table)
        for shape, table in run["scans"].items():
            lines += _section(f"Scan alone, D x N x L = {shape}, {threads}", table)
    lines += ["## Facts", "", *(f"- {fact}" for fact in results["facts"]), ""]
    return "\n".join(lines)


def _section(title: str, table: Mapping[str, Any]) -> list[str]:
    lines = [
        f"## {title}",
        "",
        "| candidate | median | interval | least | ratio | interval | processor | ratio | runs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table["rows"]:
        low, high = row["interval"]
        below, above = row["ratio_interval"]
        lines.append(
            f"| {row['name']} | {row['median']:.3g} | {low:.3g} to {high:.3g} | {row['least']:.3g} | {row['ratio']:.2f} "
            f"| {below:.2f} to {above:.2f} | {row['processor']:.3g} | {row['processor_ratio']:.2f} | {row['runs']} |"
        )
    lines += [f"| {name} | not run: {why} | | | | | | | |" for name, why in table.get("missing", {}).items()]
    load = table["load"]
    state = f"**noisy**: {'; '.join(table['noise'])}" if table["noise"] else "quiet"
    average = ", ".join(f"{one:.1f}" for one in load["average"])
    return [
        *lines,
        "",
        f"Machine: {state} (load average {average}; {load['foreign']:.2f} processors busy elsewhere).",
        "",
    ]
