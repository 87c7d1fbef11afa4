"""`profile --watch`: the running median and its interval, on one line of stderr that is written over."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

__all__ = ["RunningMedian"]

#: Seconds between two writings: often enough to follow, too seldom to disturb what is measured.
EVERY = 0.5


class RunningMedian:
    """Both the stages' `Report` and the runs' `Watch`."""

    def __init__(self) -> None:
        self._written = 0.0
        self._open = False

    def stage(self, name: str) -> None:
        """A stage begins."""
        self.end()
        sys.stderr.write(f"profile: {name}\n")

    def runs(self, samples: Sequence[float]) -> None:
        """Another run has ended."""
        from edgevision.latency import summarize

        now = time.monotonic()
        if now - self._written < EVERY:
            return
        self._written = now
        latency = summarize(samples)
        low, high = latency.interval
        told = f"n = {len(samples)}, median {latency.p50:.2f} ms (95 % interval {low:.2f} to {high:.2f})"
        sys.stderr.write(f"\r\x1b[K{told}" if sys.stderr.isatty() else f"{told}\n")
        sys.stderr.flush()
        self._open = sys.stderr.isatty()

    def end(self) -> None:
        """Leave the line as it is and go on below it."""
        if self._open:
            sys.stderr.write("\n")
        self._open = False
