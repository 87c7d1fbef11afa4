"""Tables as data: what HTML and Markdown both render."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Cell", "Table", "cell", "ms", "span"]

Key = float | str


@dataclass(frozen=True)
class Cell:
    """What a reader sees, and what the table is sorted by."""

    text: str
    key: Key


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns name their unit; `note` says of what the numbers are and how many were averaged."""

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def cell(value: object, form: str = "") -> Cell:
    """A value formatted; an absent one is an em dash and sorts last, never a 0."""
    if value is None:
        return Cell("—", float("inf"))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return Cell(str(value), str(value).lower())
    return Cell(format(value, form), float(value))


def ms(value: float | None) -> Cell:
    """Milliseconds with four significant digits."""
    return cell(value, ".4g") if value is None or value < 1000 else cell(value, ".0f")


def span(low: float | None, high: float | None) -> Cell:
    """An interval; a side the sample is too small for is open."""
    sides = ["…" if side is None else ms(side).text for side in (low, high)]
    width = float("inf") if low is None or high is None else high - low
    return Cell(f"{sides[0]} to {sides[1]}", width)
