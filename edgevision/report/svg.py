"""Inline SVG: a handful of shapes, an axis, and text, coloured by the page's style sheet.

A figure is 400 units wide so that its 12-unit text stays readable when a phone shows it 360 pixels wide; labels get a
line of their own above what they name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["WIDTH", "Axis", "circle", "figure", "line", "linear_ticks", "path", "rect", "text"]

WIDTH = 400
LONGEST_TEXT = 62


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def rect(x: float, y: float, width: float, height: float, style: str) -> str:
    """A rectangle of a class of the style sheet."""
    return f'<rect class="{style}" x="{_n(x)}" y="{_n(y)}" width="{_n(max(width, 0.5))}" height="{_n(height)}"/>'


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    """A straight line."""
    return f'<line class="{style}" x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"/>'


def circle(x: float, y: float, radius: float, style: str) -> str:
    """A dot."""
    return f'<circle class="{style}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}"/>'


def path(points: Sequence[tuple[float, float]], style: str, *, closed: bool = False) -> str:
    """A polyline, or a polygon when closed."""
    steps = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
    return f'<path class="{style}" d="M{steps}{"Z" if closed else ""}"/>'


def text(x: float, y: float, words: str, *, style: str = "", anchor: str = "start") -> str:
    """A line of text, cut to what the figure's width holds; `anchor` is start, middle or end."""
    words = words if len(words) <= LONGEST_TEXT else words[: LONGEST_TEXT - 1] + "…"
    return f'<text class="{style}" x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{escape(words)}</text>'


def figure(title: str, height: float, shapes: Sequence[str]) -> str:
    """The whole drawing; `title` is read out to those who do not see it."""
    body = "".join(shapes)
    head = f'<svg viewBox="0 0 {WIDTH} {_n(height)}" role="img" aria-label="{escape(title)}">'
    return f"{head}<title>{escape(title)}</title>{body}</svg>"


def linear_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers within [low, high]."""
    span = high - low
    if span <= 0:
        return [low]
    step = 10 ** math.floor(math.log10(span / count))
    step *= next(m for m in (1, 2, 5, 10) if span / (step * m) <= count)
    first = math.ceil(low / step)
    return [i * step for i in range(first, math.floor(high / step) + 1)]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Maps values to positions: `low` to `start`, `high` to `end`, by logarithm when `log`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The position of a value; what lies outside is put at the edge."""
        scale: Callable[[float], float] = math.log if self.log else float
        share = (scale(value) - scale(self.low)) / ((scale(self.high) - scale(self.low)) or 1.0)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values along the axis."""
        if not self.log:
            return linear_ticks(self.low, self.high)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        every = [m * 10.0**d for d in decades for m in (1, 2, 5)]
        return [v for v in every if self.low <= v <= self.high]

    def draw_below(self, top: float, bottom: float, unit: str) -> list[str]:
        """Grid lines from `top` to `bottom`, their values and the unit under them: 32 units high."""
        shapes = []
        for tick in self.ticks():
            shapes.append(line(self(tick), top, self(tick), bottom, "grid"))
            shapes.append(text(self(tick), bottom + 14, format(tick, ".4g"), style="tick", anchor="middle"))
        middle = (self.start + self.end) / 2
        return [*shapes, text(middle, bottom + 29, unit, style="tick", anchor="middle")]
