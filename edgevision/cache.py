"""Results of slow stages, kept by the hash of everything they depend on.

An entry is a folder named by its key. It appears whole (made beside, then renamed) and the least recently used ones
go when the cache outgrows its cap. `EDGEVISION_CACHE` moves it; `EDGEVISION_CACHE=off` switches it off.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevision.environment import package_versions, source_digest

__all__ = ["Cache", "default_cache", "stage_key"]

DEFAULT_CAP = 4 * 2**30
_PARTIAL = ".partial-"
_ABANDONED_SECONDS = 24 * 3600


def stage_key(stage: str, inputs: Mapping[str, Any]) -> str:
    """Key of a stage's result: its name, its inputs (JSON values), our own source and every package version."""
    document = {"stage": stage, "inputs": inputs, "source": source_digest(), "packages": package_versions()}
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Cache:
    """A folder of finished results, or nothing at all when `root` is None.

    Attributes:
        root: where entries are kept.
        cap: bytes it may hold.
    """

    root: Path | None
    cap: int = DEFAULT_CAP

    def get(self, key: str) -> Path | None:
        """The entry's folder, marked as just used, or None."""
        if self.root is None:
            return None
        entry = self.root / key
        if not entry.is_dir():
            return None
        with contextlib.suppress(OSError):  # a cache that may only be read serves as well
            os.utime(entry)
        return entry

    def drop(self, key: str) -> None:
        """Forget an entry that turned out to be damaged."""
        if self.root is not None:
            shutil.rmtree(self.root / key, ignore_errors=True)

    def put(self, key: str, fill: Callable[[Path], None]) -> None:
        """Keep a result: `fill` writes it into an empty folder. A cache that cannot be written to keeps nothing."""
        if self.root is None:
            return
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=self.root))
        except OSError:
            return
        try:
            fill(staging)
            staging.rename(self.root / key)
        except OSError:
            pass  # lost the race to another process, or the disk is full
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        self._trim()

    def bytes(self) -> int:
        """Size of all entries."""
        return sum(size for _, size, _ in self._entries())

    def _entries(self) -> list[tuple[float, int, Path]]:
        if self.root is None or not self.root.is_dir():
            return []
        found = []
        for entry in self.root.iterdir():
            if entry.is_dir() and not entry.name.startswith("."):
                with contextlib.suppress(OSError):  # another process has just removed it
                    size = sum(f.stat().st_size for f in entry.rglob("*") if f.is_file())
                    found.append((entry.stat().st_mtime, size, entry))
        return sorted(found, key=lambda item: item[0])

    def _trim(self) -> None:
        self._sweep()
        entries = self._entries()
        excess = sum(size for _, size, _ in entries) - self.cap
        for _, size, entry in entries:
            if excess <= 0:
                return
            shutil.rmtree(entry, ignore_errors=True)
            excess -= size

    def _sweep(self) -> None:
        """Remove what processes that were killed left half-written."""
        assert self.root is not None  # only ever called by `put`, which asked
        for staging in self.root.glob(f"{_PARTIAL}*"):
            with contextlib.suppress(OSError):
                if time.time() - staging.stat().st_mtime > _ABANDONED_SECONDS:
                    shutil.rmtree(staging, ignore_errors=True)


def default_cache() -> Cache:
    """The user's cache folder, or the one `EDGEVISION_CACHE` names."""
    setting = os.environ.get("EDGEVISION_CACHE", "")
    if setting == "off":
        return Cache(root=None)
    if setting:
        return Cache(root=Path(setting))
    import platformdirs

    return Cache(root=Path(platformdirs.user_cache_dir("edgevision")))
