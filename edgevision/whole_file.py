"""A file that appears whole or not at all: written beside its place under a temporary name, then moved."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgevision.errors import OutputError

__all__ = ["whole_file"]


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to; the file moves to `path` when the block ends well, and is gone when it does not.

    Raises:
        OutputError: `path` is a folder, or its folder cannot be written or is full.
    """
    if path.is_dir():
        raise OutputError(str(path), "it is a folder, not a file", "name the file to write with --out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.partial-", dir=path.parent) as folder:
            staging = Path(folder) / path.name
            yield staging
            staging.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(str(path), f"it cannot be written ({reason})", "choose another --out") from error
