"""The tables of the zoo are what `docs/zoo.json` says, and that is what the cards and the exports say."""

from __future__ import annotations

from pathlib import Path

import pytest
from zoo_figures import TARGETS, overview, pages, read_figures, render, spliced

from edgevision.registry import find_variant, variants

FIGURES = read_figures()


@pytest.mark.parametrize("page", pages(FIGURES), ids=lambda page: page.name)
def test_the_table_is_the_figures(page: Path) -> None:
    text = page.read_text()
    assert pages(FIGURES)[page] == text, "run `python tests/zoo/measure_zoo.py --no-export`"
    assert spliced(text, "") != text
    shown = variants() if page.name == "zoo.md" else [v.name for v in overview()]
    assert [name for name in variants() if f"| `{name}` |" in text] == [name for name in variants() if name in shown]


def test_no_cell_is_empty_and_each_says_what_is_not_known() -> None:
    variant = find_variant("van_b0")
    counts = {"params": 2_000_000, "macs": 10**9, "nodes": 1234}
    entry = {"before": counts, "after": counts, "parity": {"ort": {"error": 2e-6, "ran": True}}}
    unknown = render({}, [variant]).splitlines()[-1]
    partly = render({"van_b0": entry | {"refused": {"trt": "no such operator"}}}, [variant]).splitlines()[-1]
    assert unknown.split(" | ")[2:] == ["not exported"] * 5 + ["not timed |"]
    assert partly.split(" | ")[2:] == ["1.00", "1,234", "2e-06", "refused", "not exported", "not timed |"]


@pytest.mark.parametrize("name", FIGURES)
def test_an_entry_is_whole_and_fits_its_card(name: str) -> None:
    variant, entry = find_variant(name), FIGURES[name]
    parity, refused = entry.get("parity", {}), entry.get("refused", {})
    assert set(parity) | set(refused) <= set(TARGETS) and not set(parity) & set(refused)
    assert all(refused.values())
    assert all(found["error"] < 1e-4 for found in parity.values())
    if parity:
        assert entry["before"]["nodes"] >= entry["after"]["nodes"] > 0
        assert entry["before"]["macs"] >= entry["after"]["macs"] > 0
    if parity and variant.deploy_params is not None:  # the graph's constants: the parameters, and a few that are none
        assert abs(entry["after"]["params"] / variant.deploy_params - 1) < 0.02


def test_nobody_has_left_the_registry() -> None:
    assert set(FIGURES) <= set(variants())
