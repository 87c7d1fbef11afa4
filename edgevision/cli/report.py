"""`edgevision report`: profiles and manifests as one offline page, or as tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def report(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Profile JSON, manifest.json or a bundle")],
    html: Annotated[Path | None, typer.Option("--html", help="One HTML page that works offline")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="The tables as Markdown; - is stdout")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="One row per measurement; - is stdout")] = None,
) -> None:
    """Show measurements and proofs side by side.

    Distributions, devices compared, operators, merges, environment.
    """
    from edgevision.errors import UsageError
    from edgevision.report.csv_rows import to_csv
    from edgevision.report.html import to_html
    from edgevision.report.markdown import to_markdown
    from edgevision.report.page import make_page
    from edgevision.report.sources import read_sources

    wanted = [(html, to_html), (markdown, to_markdown), (csv, to_csv)]
    if not any(path for path, _ in wanted):
        raise UsageError("report", "nothing says what to write", "give --html, --markdown or --csv")
    page = make_page(read_sources(files))
    for path, render in wanted:
        if path is not None:
            _write(path, render(page))


def _write(path: Path, text: str) -> None:
    from edgevision.whole_file import whole_file

    if str(path) == "-":
        typer.echo(text, nl=False)
        return
    with whole_file(path) as staging:
        staging.write_text(text, encoding="utf-8")
    typer.echo(f"wrote {path} ({path.stat().st_size} bytes)", err=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)
