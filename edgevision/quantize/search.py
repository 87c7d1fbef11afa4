"""Which layers to convert: the Pareto front of what is lost against what is won.

A conversion that can be made layer by layer (INT8, power-of-two weights) loses accuracy and wins time or energy at
each. Both are asked for once per layer and taken to add up: roundings of different layers are independent, so their
noise powers add, and a layer's time is its own. That orders the layers, the cheapest loss per gain first, and the sets
worth looking at are the prefixes of that order: 2^n sets become n. A layer without a gain of its own may still save its
neighbours the conversions at its borders, so the prefixes of the order of loss alone are looked at as well. Nothing is decided on the sums alone: the sets that
matter, and the one of all layers, are converted and *measured* whole; the front is made of those measurements.

The module knows neither ONNX nor quantization. A conversion gives it four things:

    layers              names of the candidates
    cost(layer)         what converting it alone loses, additive: noise power over signal power of the answers
    gain(layer)         what converting it wins in context, additive: milliseconds, joules, …; not above 0: no gain
    measure(layers)     the truth about a set of layers: a `Point` with its drop and its speed

    found = search(layers, cost=…, gain=…, measure=…, budget=0.5, journal=Journal.of(cache, key))
    found.chosen        the fastest measured set within the budget, None when there is none
    found.nearest       the measured set of least drop, to show when there is none
    found.front         measured sets of which no other is faster and better
    found.decisions     per layer: cost, gain, converted or not and why

Every number goes into the journal as it is made; a search that was killed asks for the missing ones only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from edgevision.quantize.journal import Journal

__all__ = ["Decision", "Found", "Point", "search"]

#: Shares of the whole gain at which sets are measured for the front, beside those that the budget asks for.
SHARES = (1.0, 0.9, 0.75, 0.5, 0.25)


@dataclass(frozen=True, kw_only=True)
class Point:
    """A set of converted layers, measured whole.

    Attributes:
        converted: names of the layers.
        drop: what it loses, in the unit of the budget (percentage points, dB).
        speed: times the speed (or the economy) of the unconverted model.
    """

    converted: frozenset[str]
    drop: float
    speed: float


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What was found for one layer.

    Attributes:
        layer: its name.
        cost: of converting it alone (additive).
        gain: of converting it in context (additive).
        converted: whether it is, in the set that was taken.
        reason: why it is or is not.
    """

    layer: str
    cost: float
    gain: float
    converted: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """The outcome of a search.

    Attributes:
        chosen: the fastest measured set within the budget; None when none is.
        nearest: the measured set of least drop, the fastest of equals.
        front: the Pareto front of all measured sets, the slowest and best first.
        points: all measured sets.
        decisions: per layer, in the order in which layers are converted.
    """

    chosen: Point | None
    nearest: Point
    front: tuple[Point, ...]
    points: tuple[Point, ...]
    decisions: tuple[Decision, ...]


def search(
    layers: Sequence[str],
    *,
    cost: Callable[[str], float],
    gain: Callable[[str], float],
    measure: Callable[[frozenset[str]], Point],
    budget: float | None,
    journal: Journal,
    report: Callable[[str], None] = lambda _: None,
    shares: Sequence[float] = SHARES,
) -> Found:
    """Find the fastest set of `layers` whose drop is within `budget`.

    Args:
        layers: names of the candidates; at least one.
        cost, gain, measure: see the module.
        budget: on the drop; None takes the fastest set.
        journal: keeps every number.
        report: told what is measured.
        shares: of the whole gain, at which sets are measured whatever the budget.
    """
    if not layers:
        raise ValueError("there is no layer to convert")
    known = _Measured(measure, journal, report)
    costs, gains = {}, {}
    for index, layer in enumerate(layers, start=1):
        report(f"layer {index}/{len(layers)}: {layer}")
        costs[layer] = float(journal.recall(f"cost {layer}", partial(cost, layer)))
        gains[layer] = float(journal.recall(f"gain {layer}", partial(gain, layer)))
    order = _order(layers, costs, gains)
    known.point(layers)
    for family, weights in ((order, gains), (sorted(layers, key=costs.__getitem__), dict.fromkeys(layers, 1.0))):
        for count in _counts(family, weights, shares):
            known.point(family[:count])
        if budget is not None:
            _approach(family, known, budget)
    points = tuple(known.points.values())
    within = [p for p in points if budget is None or p.drop <= budget]
    chosen = max(within, key=lambda p: p.speed, default=None)
    nearest = min(points, key=lambda p: (p.drop, -p.speed))
    taken = chosen or nearest
    over = [p.converted - taken.converted for p in points if p not in within]
    return Found(
        chosen=chosen,
        nearest=nearest,
        front=_front(points),
        points=points,
        decisions=_decisions(layers, order, costs, gains, taken.converted, frozenset().union(*over)),
    )


class _Measured:
    """Sets measured so far."""

    def __init__(
        self, measure: Callable[[frozenset[str]], Point], journal: Journal, report: Callable[[str], None]
    ) -> None:
        self._measure, self._journal, self._report = measure, journal, report
        self.points: dict[frozenset[str], Point] = {}

    def point(self, layers: Collection[str]) -> Point:
        chosen = frozenset(layers)
        if chosen not in self.points:
            self._report(f"measure a set of {len(chosen)} layers")
            key = f"set {' '.join(sorted(chosen))}"
            drop, speed = self._journal.recall(key, lambda: _pair(self._measure(chosen)))
            self.points[chosen] = Point(converted=chosen, drop=float(drop), speed=float(speed))
        return self.points[chosen]


def _pair(point: Point) -> tuple[float, float]:
    return point.drop, point.speed


def _order(layers: Sequence[str], costs: Mapping[str, float], gains: Mapping[str, float]) -> list[str]:
    """Layers that gain, the least loss per gain first. Where none gains, all of them by loss: one has to be shown."""
    gaining = [layer for layer in layers if gains[layer] > 0]
    if not gaining:
        return sorted(layers, key=lambda layer: costs[layer])
    return sorted(gaining, key=lambda layer: costs[layer] / gains[layer])


def _counts(order: Sequence[str], gains: Mapping[str, float], shares: Sequence[float]) -> list[int]:
    """How many layers of `order` it takes to reach each share of the whole gain."""
    whole = sum(max(gains[layer], 0.0) for layer in order)
    counts: dict[int, None] = {}
    for share in shares:
        reached, count = 0.0, 0
        while count < len(order) and (count == 0 or reached < share * whole - 1e-12):
            reached += max(gains[order[count]], 0.0)
            count += 1
        counts[len(order) if share >= 1 else count] = None
    return list(counts)


def _approach(order: Sequence[str], known: _Measured, budget: float) -> None:
    """Bisect for the longest prefix within the budget, between those measured already."""
    prefixes = {frozenset(order[:n]) for n in range(1, len(order) + 1)}
    sizes = {len(p.converted): p.drop <= budget for p in known.points.values() if p.converted in prefixes}
    outside = min((n for n, fits in sizes.items() if not fits), default=len(order) + 1)
    inside = max((n for n, fits in sizes.items() if fits and n < outside), default=0)
    while outside - inside > 1:
        middle = (inside + outside) // 2
        if known.point(order[:middle]).drop <= budget:
            inside = middle
        else:
            outside = middle


def _front(points: Collection[Point]) -> tuple[Point, ...]:
    """Points that no other beats in one and equals in the other, the best (and slowest) first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.drop, -p.speed)):
        if not front or point.speed > front[-1].speed:
            front.append(point)
    return tuple(front)


def _decisions(
    layers: Sequence[str],
    order: Sequence[str],
    costs: Mapping[str, float],
    gains: Mapping[str, float],
    converted: frozenset[str],
    over: frozenset[str],
) -> tuple[Decision, ...]:
    """`over`: layers by which sets beyond the budget differ from the one that was taken."""
    found = []
    for layer in (*order, *(layer for layer in layers if layer not in set(order))):
        taken = layer in converted
        if taken:
            reason = "within the budget"
        elif gains[layer] <= 0:
            reason = "gains nothing"
        else:
            reason = "costs too much" if layer in over else "the whole is faster without it"
        found.append(Decision(layer=layer, cost=costs[layer], gain=gains[layer], converted=taken, reason=reason))
    return tuple(found)
