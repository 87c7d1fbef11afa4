"""Class names from a text file, one a line."""

from __future__ import annotations

from pathlib import Path

from edgevision.errors import DataError

__all__ = ["read_class_names"]


def read_class_names(path: Path) -> list[str]:
    """The names in the order of the classes; blank lines are left out.

    Raises:
        DataError: the file is missing, is not text, or is empty.
    """
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            str(path), f"the labels cannot be read ({error})", "give a text file, one label a line"
        ) from error
    if not names:
        raise DataError(str(path), "it holds no labels", "give a text file, one label a line")
    return names
