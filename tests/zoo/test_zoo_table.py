"""The README's table of the zoo is what `docs/zoo.json` says, and that is what the cards and the exports say."""

from __future__ import annotations

import pytest
from zoo_figures import README, TARGETS, read_figures, render, spliced

from edgevision.registry import find_variant, variants

FIGURES = read_figures()


def test_the_table_is_the_figures() -> None:
    page = README.read_text()
    assert spliced(page, render(FIGURES)) == page, "run `python tests/zoo/measure_zoo.py --only-table`"
    assert spliced(page, "") != page


@pytest.mark.parametrize("name", FIGURES)
def test_an_entry_is_whole_and_fits_its_card(name: str) -> None:
    variant, entry = find_variant(name), FIGURES[name]
    assert entry["before"]["nodes"] >= entry["after"]["nodes"] > 0
    assert entry["before"]["macs"] >= entry["after"]["macs"] > 0
    if variant.deploy_params is not None:  # the graph's constants: the parameters, and a few numbers that are none
        assert abs(entry["after"]["params"] / variant.deploy_params - 1) < 0.02
    assert set(entry["parity"]) <= set(TARGETS)
    for found in entry["parity"].values():
        assert found["error"] is not None and found["error"] < 1e-4


def test_nobody_has_left_the_registry() -> None:
    assert set(FIGURES) <= set(variants())
