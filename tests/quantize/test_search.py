"""The search finds what an exhaustive one finds, asks for nothing twice, and says so when no set fits."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from edgevision.quantize.journal import Journal
from edgevision.quantize.search import Found, Point, search


class Conversion:
    """Layers whose losses and gains add up, as the search supposes; counts what it is asked."""

    def __init__(self, losses: dict[str, float], gains: dict[str, float]) -> None:
        self.losses, self.gains = losses, gains
        self.asked: list[str] = []

    def cost(self, layer: str) -> float:
        self.asked.append(f"cost {layer}")
        return self.losses[layer]

    def gain(self, layer: str) -> float:
        return self.gains[layer]

    def measure(self, layers: frozenset[str]) -> Point:
        self.asked.append(f"set {len(layers)}")
        drop = sum(self.losses[x] for x in layers)
        return Point(converted=layers, drop=drop, speed=10 / (10 - sum(self.gains[x] for x in layers)))

    def search(self, budget: float | None, journal: Journal | None = None) -> Found:
        journal = journal or Journal(None)
        return search(
            list(self.losses), cost=self.cost, gain=self.gain, measure=self.measure, budget=budget, journal=journal
        )


def random_conversion(seed: int, count: int = 10) -> Conversion:
    rng = np.random.default_rng(seed)
    names = [f"layer{i}" for i in range(count)]
    return Conversion(
        dict(zip(names, 10.0 ** rng.uniform(-4, 0, count), strict=True)),
        dict(zip(names, rng.uniform(-0.1, 0.8, count), strict=True)),
    )


@pytest.mark.parametrize("seed", range(6))
def test_search_is_as_good_as_trying_every_set(seed: int) -> None:
    conversion = random_conversion(seed)
    budget = 0.3 * sum(conversion.losses.values())
    sets = itertools.chain.from_iterable(itertools.combinations(conversion.losses, n) for n in range(1, 11))
    points = [conversion.measure(frozenset(names)) for names in sets]
    best = max((p for p in points if p.drop <= budget), key=lambda p: p.speed)
    conversion.asked.clear()
    found = conversion.search(budget)
    assert found.chosen is not None
    assert found.chosen.drop <= budget
    assert found.chosen.speed - 1 >= 0.8 * (best.speed - 1)
    assert sum(a.startswith("set") for a in conversion.asked) <= 20


def test_layers_without_gain_stay_and_each_decision_has_its_numbers() -> None:
    conversion = Conversion({"a": 0.1, "b": 0.2, "c": 5.0}, {"a": 1.0, "b": -0.2, "c": 2.0})
    found = conversion.search(1.0)
    reasons = {d.layer: (d.converted, d.reason) for d in found.decisions}
    assert reasons == {
        "a": (True, "within the budget"),
        "b": (False, "gains nothing"),
        "c": (False, "costs too much"),
    }
    assert [p.converted for p in found.front] == [frozenset("a"), frozenset("ac")]


def test_no_set_within_the_budget_shows_the_nearest() -> None:
    found = Conversion({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 1.0}).search(0.5)
    assert found.chosen is None
    assert (found.nearest.converted, found.nearest.drop) == (frozenset("a"), 1.0)


def test_layers_that_gain_only_together_are_found() -> None:
    """Each border costs 0.3: alone the middle layer loses time, left out it costs its neighbours more."""
    conversion = Conversion({"a": 1.0, "b": 1.1, "c": 1.2, "d": 50.0}, {"a": 0.5, "b": -0.1, "c": 0.5, "d": 1.0})

    def measure(layers: frozenset[str]) -> Point:
        borders = sum((x in layers) != (y in layers) for x, y in zip("abc", "bcd", strict=True))
        drop = sum(conversion.losses[x] for x in layers)
        return Point(converted=layers, drop=drop, speed=2 + sum(conversion.gains[x] for x in layers) - 0.3 * borders)

    conversion.measure = measure  # type: ignore[method-assign]
    chosen = conversion.search(5.0).chosen
    assert chosen is not None
    assert chosen.converted == {"a", "b", "c"}


def test_without_a_budget_the_fastest_is_taken() -> None:
    conversion = Conversion({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 1.0})
    chosen = conversion.search(None).chosen
    assert chosen is not None
    assert chosen.converted == {"a", "b"}


def test_killed_search_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "journal.jsonl"
    first = random_conversion(1)
    calls = itertools.count()
    inner = first.cost

    def dying(layer: str) -> float:
        if next(calls) == 6:
            raise KeyboardInterrupt
        return inner(layer)

    first.cost = dying  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        first.search(0.1, Journal(path))
    with path.open("a") as file:
        file.write('["cost layer9", 0.0')  # the kill cut a line short
    second, whole = random_conversion(1), random_conversion(1)
    assert second.search(0.1, Journal(path)) == whole.search(0.1)
    assert second.asked == whole.asked[6:]
    third = random_conversion(1)
    assert third.search(0.1, Journal(path)) == whole.search(0.1)
    assert third.asked == []
