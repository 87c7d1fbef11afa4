"""The page's words and tables as Markdown, for a commit message, a wiki or a review."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgevision.report.page import Page
from edgevision.report.table import Table

__all__ = ["to_markdown"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#])")


def to_markdown(page: Page) -> str:
    """The document; plots are left out."""
    parts = [f"# {_escape(page.title)}", *map(_escape, page.summary)]
    if page.warnings:
        parts.append("\n".join(f"- {_escape(warning)}" for warning in page.warnings))
    for section in page.sections:
        parts += [_table(table) for table in section.tables]
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    numeric = [all(isinstance(row[i].key, float) for row in table.rows) for i in range(len(table.columns))]
    lines = [f"## {_escape(table.title)}", "", _escape(table.note), "", _row(table.columns)]
    lines.append("|" + "|".join("---:" if n else "---" for n in numeric) + "|")
    lines += [_row([cell.text for cell in row]) for row in table.rows]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escape(c) for c in cells) + " |"


def _escape(words: str) -> str:
    return _SPECIAL.sub(r"\\\1", words.replace("\n", " "))
