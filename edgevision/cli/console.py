"""How results reach people and machines: progress on stderr, tables or one JSON document on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_json", "print_table", "progress", "stdout", "warn"]


def stdout() -> Console:
    """Rich console on stdout."""
    from rich.console import Console

    return Console()


def print_json(document: Any) -> None:
    """The one document a machine reads."""
    sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table; cells that look like numbers are right-aligned by their column's first row."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", header_style="bold")
    for index, name in enumerate(columns):
        numeric = bool(rows) and isinstance(rows[0][index], (int, float))
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
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
        A function that is told the name of each stage as it begins.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        running: list[Any] = []

        def report(stage: str) -> None:
            if running:
                bar.update(running[-1], total=1, completed=1)
            running.append(bar.add_task(f"{title}: {stage}", total=None))

        yield report
        if running:
            bar.update(running[-1], total=1, completed=1)
