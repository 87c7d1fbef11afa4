"""What the README's table of the zoo shows, as kept in `docs/zoo.json`: measured once, rendered often.

A variant's entry holds what its exports said: `nodes`, `macs` and `params` before and after merging, `parity` per target
(error over std, and whether it ran there), the machine's `latency_ms`. Parameters of the official forms come from the
cards.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from workspace import ROOT

from edgevision.registry import Variant, aliases, find_variant, variants

__all__ = ["FIGURES", "README", "TARGETS", "read_figures", "render", "smallest", "spliced", "write_figures"]

FIGURES, README = ROOT / "docs" / "zoo.json", ROOT / "README.md"
TARGETS = ("ort", "trt", "coreml")
BEGIN, END = "<!-- zoo: written by `make zoo-table` -->", "<!-- end of zoo -->"
HEAD = ("model", "params M", "MACs G", "nodes", "parity ORT", "TensorRT", "Core ML", "ms, 1 thread")


def read_figures() -> dict[str, dict[str, Any]]:
    """Measured entries by variant."""
    found: dict[str, dict[str, Any]] = json.loads(FIGURES.read_text()) if FIGURES.is_file() else {}
    return found


def write_figures(figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Sorted as the registry is, one entry a line, so that a change is one line."""
    lines = [
        f"{json.dumps(name)}: {json.dumps(figures[name], sort_keys=True)}" for name in variants() if name in figures
    ]
    FIGURES.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def smallest() -> list[Variant]:
    """The smallest variant of each family."""
    return [find_variant(name) for name in {aliases().get(v.family, v.family): None for v in variants().values()}]


def render(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """The table, a row per variant that has been measured, in the registry's order."""
    rows = [HEAD, ("---",) * len(HEAD), *(_row(v, figures[v.name]) for v in variants().values() if v.name in figures)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def spliced(page: str, table: str) -> str:
    """`page` with `table` between its two marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}"


def _row(variant: Variant, entry: Mapping[str, Any]) -> tuple[str, ...]:
    before, after = entry["before"], entry["after"]
    deploy = variant.deploy_params or after["params"]
    return (
        f"`{variant.name}`",
        _pair(variant.params / 1e6, deploy / 1e6, ".2f"),
        _pair(before["macs"] / 1e9, after["macs"] / 1e9, ".2f"),
        _pair(before["nodes"], after["nodes"], ",d"),
        *(_parity(entry["parity"].get(target)) for target in TARGETS),
        _latency(entry.get("latency")),
    )


def _pair(before: float, after: float, how: str) -> str:
    texts = list(dict.fromkeys((format(before, how), format(after, how))))
    return " → ".join(texts)


def _parity(found: Mapping[str, Any] | None) -> str:
    """The error where the artifact ran; in brackets, that of what was proven in its place."""
    if found is None:
        return ""
    error = f"{found['error']:.0e}" if found["error"] is not None else "built"
    return error if found["ran"] else f"({error})"


def _latency(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    return f"{found['p50']:.1f}" if found["verdict"] == "stable" else f"{found['p50']:.1f} ?"


def chosen(names: Iterable[str]) -> list[Variant]:
    """The variants named, or all, the smallest networks first."""
    wanted = [find_variant(name) for name in names] or list(variants().values())
    return sorted(wanted, key=lambda v: (v.params * v.input_size[0] ** 2, v.name))
