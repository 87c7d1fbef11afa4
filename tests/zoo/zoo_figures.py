"""What the tables of the zoo show, as kept in `docs/zoo.json`: measured once, rendered often.

A variant's entry holds what its exports said: `nodes`, `macs` and `params` `before` and `after` merging, `parity` per
target (error over std, and whether it ran there), `refused` per target (why there is no artifact), the `latency` on one
thread. Parameters of the official forms come from the cards.

The README shows the smallest network of each architecture, `docs/zoo.md` all. No cell is empty: it says what is not known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from workspace import ROOT

from edgevision.registry import Variant, aliases, find_variant, variants

__all__ = [
    "FIGURES",
    "TARGETS",
    "chosen",
    "overview",
    "pages",
    "read_figures",
    "render",
    "smallest",
    "spliced",
    "write_figures",
]

FIGURES, README, PAGE = ROOT / "docs" / "zoo.json", ROOT / "README.md", ROOT / "docs" / "zoo.md"
TARGETS = {"ort": "ONNX Runtime", "trt": "TensorRT", "coreml": "Core ML"}
BEGIN, END = "<!-- zoo: written by `make zoo-table` -->", "<!-- end of zoo -->"
HEAD = ("model", "params M", "MACs G", "nodes", *(f"parity {name}" for name in TARGETS.values()), "ms, 1 thread")
NOT_EXPORTED, REFUSED, NOT_TIMED = "not exported", "refused", "not timed"

Figures = Mapping[str, Mapping[str, Any]]


def read_figures() -> dict[str, dict[str, Any]]:
    """Measured entries by variant."""
    found: dict[str, dict[str, Any]] = json.loads(FIGURES.read_text()) if FIGURES.is_file() else {}
    return found


def write_figures(figures: Figures) -> None:
    """Sorted as the registry is, one entry a line, so that a change is one line."""
    lines = [
        f"{json.dumps(name)}: {json.dumps(figures[name], sort_keys=True)}" for name in variants() if name in figures
    ]
    FIGURES.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def smallest() -> list[Variant]:
    """The smallest variant of each family."""
    return [find_variant(name) for name in {aliases().get(v.family, v.family): None for v in variants().values()}]


def chosen(names: Iterable[str]) -> list[Variant]:
    """The variants named, or all, the smallest networks first."""
    wanted = [find_variant(name) for name in names] or list(variants().values())
    return sorted(wanted, key=lambda v: (v.params * v.input_size[0] ** 2, v.name))


def overview() -> list[Variant]:
    """The smallest variant of each architecture but for the miniatures: a family may have two, as ECA-Net has."""
    least: dict[tuple[str, str], str] = {}
    for variant in chosen([]):
        if variant.trained is None:
            least.setdefault((variant.family, variant.module), variant.name)
    return [v for v in variants().values() if v.name in least.values()]


def pages(figures: Figures) -> dict[Path, str]:
    """Each page that shows a table of the zoo, as it should read."""
    texts = {README: render(figures, overview()), PAGE: f"{render(figures, variants().values())}{_refusals(figures)}"}
    return {page: spliced(page.read_text(), text) for page, text in texts.items()}


def spliced(page: str, table: str) -> str:
    """`page` with `table` between its two marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}"


def render(figures: Figures, shown: Iterable[Variant]) -> str:
    """The table, a row per variant."""
    rows = [HEAD, ("---",) * len(HEAD), *(_row(v, figures.get(v.name, {})) for v in shown)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _refusals(figures: Figures) -> str:
    told = [
        f"- `{name}`, {TARGETS[target]}: {reason}"
        for name, entry in figures.items()
        for target, reason in entry.get("refused", {}).items()
    ]
    return "\n\nRefused:\n\n" + "\n".join(told) if told else ""


def _row(variant: Variant, entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"`{variant.name}`",
        _params(variant, entry.get("after")),
        _pair(entry, "macs", 1e9, ".2f"),
        _pair(entry, "nodes", 1, ",.0f"),
        *(_parity(entry, target) for target in TARGETS),
        _latency(entry.get("latency")),
    )


def _params(variant: Variant, after: Mapping[str, int] | None) -> str:
    """As trained and as merged; the card's, and the graph's where the official code has no merged form."""
    deploy = variant.deploy_params or (after["params"] if after else variant.params)
    return _arrow(variant.params / 1e6, deploy / 1e6, ".2f")


def _pair(entry: Mapping[str, Any], key: str, unit: float, how: str) -> str:
    if "after" not in entry:
        return NOT_EXPORTED
    return _arrow(entry["before"][key] / unit, entry["after"][key] / unit, how)


def _arrow(before: float, after: float, how: str) -> str:
    texts = list(dict.fromkeys((format(before, how), format(after, how))))
    return " → ".join(texts)


def _parity(entry: Mapping[str, Any], target: str) -> str:
    """The error where the artifact ran; in brackets, that of what was proven in its place."""
    if target in entry.get("refused", {}):
        return REFUSED
    found = entry.get("parity", {}).get(target)
    if found is None:
        return NOT_EXPORTED
    return f"{found['error']:.0e}" if found["ran"] else f"({found['error']:.0e})"


def _latency(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return NOT_TIMED
    return f"{found['p50']:.1f}" if found["verdict"] == "stable" else f"{found['p50']:.1f} ?"
