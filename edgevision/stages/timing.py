"""Stages time themselves and hash what goes in and out, all in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from edgevision.manifest import Record
from edgevision.proof import Difference

__all__ = ["Report", "Stopwatch", "unreported"]

#: Told the name of each stage as it begins.
Report = Callable[[str], None]


def unreported(_stage: str) -> None:
    """A `Report` for callers who do not watch."""


class Stopwatch:
    """Started when a stage begins; makes its `Record` when it ends."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._start = time.perf_counter()
        self._proof = 0.0

    @contextmanager
    def proving(self) -> Iterator[None]:
        """Counts the time of the block as the stage's proof."""
        start = time.perf_counter()
        yield
        self._proof += time.perf_counter() - start

    def record(
        self,
        *,
        inputs: Sequence[str],
        outputs: Sequence[str],
        error: Difference | None = None,
        notes: Sequence[str] = (),
    ) -> Record:
        """The stage's record: seconds since the start, hashes, the error it introduced, notes."""
        return Record(
            name=self.name,
            seconds=round(time.perf_counter() - self._start, 3),
            proof_seconds=round(self._proof, 3),
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            max_abs_over_std=None if error is None else error.max_abs_over_std,
            relative_l2_error=None if error is None else error.relative_l2,
            notes=tuple(notes),
        )
