"""How far a calibration has come, in the cache: one that is killed goes on where it was last kept."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from edgevision.cache import Cache
from edgevision.calibration.histogram import Histogram

__all__ = ["Progress"]

FILE = "histograms.npz"


@dataclass(kw_only=True)
class Progress:
    """Histograms so far under `key`, written at most every `seconds`."""

    cache: Cache
    key: str
    seconds: float = 5.0
    _written: float = field(default_factory=time.monotonic)

    def last(self) -> tuple[dict[str, Histogram], int] | None:
        """What was kept last, and the number of images it is of; None where there is nothing, or it is damaged."""
        entry = self.cache.get(self.key)
        if entry is None:
            return None
        try:
            with np.load(entry / FILE, allow_pickle=False) as held:
                names = [str(name) for name in held["names"]]
                restored = {
                    name: Histogram.restored(held[f"{i}.counts"], held[f"{i}.rest"]) for i, name in enumerate(names)
                }
                return restored, int(held["seen"])
        except (OSError, ValueError, KeyError, BadZipFile):
            self.forget()
            return None

    def keep(self, histograms: Mapping[str, Histogram], seen: int) -> None:
        """Write them, unless that was done a moment ago."""
        if time.monotonic() - self._written < self.seconds:
            return

        def fill(folder: Path) -> None:
            arrays = {"names": np.array(list(histograms)), "seen": np.array(seen)}
            for i, histogram in enumerate(histograms.values()):
                arrays[f"{i}.counts"], arrays[f"{i}.rest"] = histogram.state()
            np.savez(folder / FILE, allow_pickle=False, **arrays)
            self.forget()  # the entry's name must be free when this one takes it

        self.cache.put(self.key, fill)
        self._written = time.monotonic()

    def forget(self) -> None:
        """Remove what was kept."""
        self.cache.drop(self.key)
