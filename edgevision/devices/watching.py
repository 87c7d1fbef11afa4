"""Watching a measurement while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["Watch", "unwatched"]

#: Told all samples so far, in milliseconds, after each timed run.
Watch = Callable[[Sequence[float]], None]


def unwatched(_samples: Sequence[float]) -> None:
    """A `Watch` for callers who do not."""
