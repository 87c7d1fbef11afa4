"""The page as one HTML file that works without a network: style, script and drawings are inside it.

Its content security policy forbids every request, so that a mistake of ours cannot make one either.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files

from edgevision.report.page import Page, Section
from edgevision.report.table import Cell, Table

__all__ = ["to_html"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def to_html(page: Page) -> str:
    """The document."""
    resources = files("edgevision.report")
    style = (resources / "page.css").read_text(encoding="utf-8")
    script = (resources / "page.js").read_text(encoding="utf-8")
    title = escape(page.title)
    head = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{title}</title>\n<style>\n{style}</style></head>\n'
    )
    summary = "".join(f"<p>{escape(line)}</p>" for line in page.summary)
    warnings = "".join(f"<li>{escape(line)}</li>" for line in page.warnings)
    notice = (
        f"<details open><summary>Before believing a number</summary><ul>{warnings}</ul></details>" if warnings else ""
    )
    body = "\n".join(_section(section) for section in page.sections)
    return f"{head}<body><h1>{title}</h1>{summary}{notice}\n{body}\n<script>\n{script}</script></body></html>\n"


def _section(section: Section) -> str:
    plots = "".join(section.figures)
    inner = f'<div class="plots">{plots}</div>' if plots else ""
    inner += "".join(_table(table, alone=table.title == section.title) for table in section.tables)
    title = escape(section.title)
    if section.folded:
        return f"<details><summary>{title}</summary>{inner}</details>"
    return f"<section><h2>{title}</h2>{inner}</section>"


def _table(table: Table, *, alone: bool) -> str:
    numeric = [all(isinstance(row[i].key, float) for row in table.rows) for i in range(len(table.columns))]
    head = "".join(f'<th scope="col"><button>{escape(c)}</button></th>' for c in table.columns)
    rows = "".join(
        "<tr>" + "".join(_cell(c, number=n) for c, n in zip(row, numeric, strict=True)) + "</tr>" for row in table.rows
    )
    title = "" if alone else f"<h2>{escape(table.title)}</h2>"
    grid = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'{title}<p>{escape(table.note)}</p><div class="wide">{grid}</div>'


def _cell(cell: Cell, *, number: bool) -> str:
    key = "Infinity" if cell.key == float("inf") else str(cell.key)
    kind = ' class="number"' if number else ""
    return f'<td{kind} data-key="{escape(key)}">{escape(cell.text)}</td>'
