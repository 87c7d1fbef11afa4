"""Measurements kept line by line as they are made, so that a search which is killed goes on where it stopped.

One JSON line per measurement, `[key, value]`. Each begins with its line break: what a kill cut short is read over,
measured again, and spoils no other line.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgevision.cache import Cache

__all__ = ["Journal"]


class Journal:
    """What has been measured, by key; on disk where there is a place for it.

    Args:
        path: of the file, made with its folder when the first line is written. None keeps nothing beyond the process.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, Any] = dict(_lines(path))

    @classmethod
    def of(cls, cache: Cache, key: str) -> Journal:
        """The journal called `key` in `cache`; `key` must change with everything the measurements depend on."""
        return cls(None if cache.root is None else cache.root / key / "journal.jsonl")

    def recall(self, key: str, measure: Callable[[], Any]) -> Any:
        """The value kept under `key`, or that of `measure()` (a JSON value), kept from now on."""
        if key not in self._known:
            self._known[key] = measure()
            self._write(key)
        return self._known[key]

    def _write(self, key: str) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n" + json.dumps([key, self._known[key]]))
        except OSError:
            self._path = None  # a cache that cannot be written to keeps nothing


def _lines(path: Path | None) -> list[tuple[str, Any]]:
    if path is None or not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            key, value = json.loads(line)
        except (ValueError, TypeError):
            continue
        rows.append((str(key), value))
    return rows
