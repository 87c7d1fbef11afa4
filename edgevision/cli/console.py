"""How results reach people and machines: progress on stderr, tables or one JSON document on stdout."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_facts", "print_json", "print_table", "progress", "stdout", "warn"]

_NUMBER = re.compile(r"[-+]?\d[\d.,]*(e[-+]?\d+)?\s?%?")


def stdout() -> Console:
    """Rich console on stdout."""
    from rich.console import Console

    return Console()


def print_json(document: Any) -> None:
    """The one document a machine reads."""
    sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table; columns in which all cells look like numbers are right-aligned."""
    from rich.table import Table

    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    table = Table(title=title, title_justify="left", header_style="bold")
    for index, name in enumerate(columns):
        filled = [row[index] for row in cells if row[index]]
        numeric = bool(filled) and all(_NUMBER.fullmatch(cell) for cell in filled)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    _print(table, cells)


def print_facts(title: str, facts: Sequence[tuple[str, object]]) -> None:
    """A list of names and what there is to say of each."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    _print(table, [[name, "" if fact is None else str(fact)] for name, fact in facts])


def _print(table: Any, cells: Sequence[Sequence[str]]) -> None:
    from rich.text import Text

    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    stdout().print(table)


def warn(messages: Sequence[str]) -> None:
    """Warnings on stderr."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    for message in messages:
        console.print(Text("warning: ", style="yellow bold"), Text(message), sep="")


@contextmanager
def progress(title: str) -> Iterator[Callable[[str], None]]:
    """Shows on stderr which stage runs, for how long, and how long each finished one took.

    Yields:
        A function that is told the name of each stage as it begins; `stage: detail` says how far the one that runs is.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        running: list[Any] = []

        def report(stage: str) -> None:
            if running and ": " in stage:
                bar.update(running[-1], description=f"{title}: {stage}")
                return
            if running:
                bar.update(running[-1], total=1, completed=1)
            running.append(bar.add_task(f"{title}: {stage}", total=None))

        yield report
        if running:
            bar.update(running[-1], total=1, completed=1)
