"""`edgevision regress`: has accuracy dropped, or speed? Exit 0 for pass and inconclusive, 1 for fail (see --strict)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from edgevision.cli.options import Json

__all__ = ["register"]


def regress(
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE…", help="The float bundle and quantized ones of it")],
    data: Annotated[
        str, typer.Option("--data", metavar="DIR|NPZ|digits", help="Labelled images, or pictures to shrink and enlarge")
    ],
    baseline: Annotated[Path | None, typer.Option("--baseline", help="Committed file to compare with")] = None,
    update: Annotated[bool, typer.Option("--update", help="Rewrite the baseline with what is measured now")] = False,
    max_drop: Annotated[float, typer.Option("--max-drop", help="Allowed drop: points of top-1, dB of PSNR")] = 0.5,
    max_slowdown: Annotated[float | None, typer.Option("--max-slowdown", help="Allowed, percent of float")] = None,
    images: Annotated[int | None, typer.Option("--images", min=1, help="Images used at most; all if absent")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 when the data cannot decide")] = False,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML here")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write Markdown here")] = None,
    json: Json = False,
) -> None:
    """Compare bundles on labelled data, and with a baseline.

    In pairs, with each other and with what was committed.
    """
    from edgevision.cli.console import print_json, print_table, warn
    from edgevision.cli.show_scores import print_scores
    from edgevision.errors import GateError, UsageError
    from edgevision.quantize.baseline import read_baseline, write_baseline
    from edgevision.quantize.regress import RegressOptions
    from edgevision.quantize.regress import regress as run
    from edgevision.quantize.regress_report import as_document, as_github, as_junit, as_markdown

    if update and baseline is None:
        raise UsageError("--update", "it needs --baseline", "name the file to write")
    if len(bundles) == 1 and baseline is None:
        raise UsageError(
            "regress", "one bundle alone has nothing to be compared with", "give the float one, or --baseline"
        )
    options = RegressOptions(data=data, max_drop=max_drop, max_slowdown=max_slowdown, images=images)
    found = run(bundles, options, read_baseline(baseline) if baseline is not None and not update else None)
    warn(found.warnings)
    if baseline is not None and update:
        kept = read_baseline(baseline) if baseline.exists() else {}
        write_baseline(baseline, {**kept, **found.entries})
    if junit is not None:
        _write(junit, as_junit(found, strict=strict))
    if markdown is not None:
        _write(markdown, as_markdown(found))
    if json:
        print_json(as_document(found))
    else:
        rows = [(c.bundle, c.against, c.verdict, c.said) for c in found.checks]
        print_table("regress", ["bundle", "against", "verdict", "found"], rows)
        print_scores(found)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        typer.echo(as_github(found), nl=False, err=json)
    refused = [c for c in found.checks if c.verdict == "fail" or (strict and c.verdict == "inconclusive")]
    if refused:
        first = refused[0]
        mend = (
            "see `edgevision compare` for the layer" if first.what != "speed" else "see `edgevision profile --per-op`"
        )
        raise GateError(first.bundle, f"{first.verdict}: {first.said}", mend)


def _write(path: Path, text: str) -> None:
    from edgevision.errors import OutputError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(str(path), f"it cannot be written ({error})", "choose another file") from error


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(regress)
