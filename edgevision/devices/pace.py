"""How fast this machine works while something is measured, against how fast it has worked before.

A cloud machine's processor is often one of the two threads of a core, and the other belongs to somebody else: while that
one works everything takes 1.5 times as long, and nothing tells the guest. A trace that is slow from end to end looks as
steady as a fast one, so a small piece of work that never changes (a hash of 8 KiB) is timed between the runs, and its
median compared with the fastest of the last profiles. The first profile of a machine has nothing to compare with.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any, Final

from edgevision.environment import cpu_name
from edgevision.errors import OutputError
from edgevision.whole_file import whole_file

__all__ = ["Pace"]

#: Seconds between two looks: the hash takes 30 microseconds, and finds its data in no cache that a model needs.
EVERY = 0.05
#: Slower than the fastest by this is a reason not to believe a measurement. The hash's own median stays within 5 %.
LARGEST_LOSS = 0.10
#: Medians remembered: a clock that was set lower by hand is forgotten after as many profiles.
REMEMBERED = 20
_WORK: Final = bytes(8192)


class Pace:
    """Looks while a measurement goes on.

    Args:
        root: the cache folder, where the medians of this machine are remembered; None for nowhere.
    """

    def __init__(self, root: Path | None) -> None:
        self._file = None if root is None else root / "pace" / "medians.json"
        self._looked = 0.0
        self._taken: list[int] = []

    def look(self) -> None:
        """Time the work, unless that was done a moment ago; not within a timed run."""
        now = time.perf_counter()
        if now - self._looked < EVERY:
            return
        hashlib.sha256(_WORK).digest()  # once for the code to be at hand
        start = time.perf_counter_ns()
        hashlib.sha256(_WORK).digest()
        self._taken.append(time.perf_counter_ns() - start)
        self._looked = time.perf_counter()

    def told(self) -> dict[str, Any]:
        """`ns` and `n` of the looks, `fastest_ns` of the profiles before (None for none); remembers this one."""
        if not self._taken:
            return {"ns": None, "n": 0, "fastest_ns": None}
        own, before = round(median(self._taken)), self._remembered()
        self._remember([*before, own][-REMEMBERED:])
        return {"ns": own, "n": len(self._taken), "fastest_ns": min(before, default=None)}

    @staticmethod
    def reasons(told: Mapping[str, Any]) -> tuple[str, ...]:
        """Why a measurement at this pace is not to be believed."""
        if told["fastest_ns"] is None or told["ns"] <= told["fastest_ns"] * (1 + LARGEST_LOSS):
            return ()
        share = told["fastest_ns"] / told["ns"]
        return (f"the machine worked at {share:.0%} of the pace it has shown before",)

    def _key(self) -> str:
        return f"{platform.node()}, {cpu_name()}"

    def _remembered(self) -> list[int]:
        """Of this machine: the folder may be shared by several."""
        found = _read(self._file).get(self._key(), [])
        return [ns for ns in found if isinstance(ns, int) and ns > 0] if isinstance(found, list) else []

    def _remember(self, medians: list[int]) -> None:
        if self._file is None:
            return
        with suppress(OutputError), whole_file(self._file) as staging:  # a cache that may only be read serves as well
            staging.write_text(json.dumps({**_read(self._file), self._key(): medians}), encoding="utf-8")


def _read(file: Path | None) -> dict[str, Any]:
    """What is remembered; nothing when the file is absent or damaged."""
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
