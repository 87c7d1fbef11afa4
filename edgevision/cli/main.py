"""The `edgevision` command: its subcommands, and the one place where errors become exit codes.

Exit codes: 0 done; 1 a gate said no; 2 usage; 3 model or weights; 4 graph or operator; 5 target; 6 device; 7 data;
8 output; 70 a defect of ours; 130 interrupted; 141 the reader of our output went away.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import typer

from edgevision import __version__
from edgevision.cli import catalog, doctor, export, inspect, profile, reparam, run, verify
from edgevision.cli import compile as compile_command
from edgevision.errors import EdgeError

__all__ = ["app", "main"]

app = typer.Typer(
    name="edgevision",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Vision models re-parameterized, quantized, proven equal and measured on the device they will run on.",
)
for module in (export, reparam, compile_command, verify, inspect, run, profile, catalog, doctor):
    module.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgevision {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Vision models re-parameterized, quantized, proven equal and measured on the device they will run on."""


def main() -> NoReturn:
    """Entry point: run, and turn every error into a message and an exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except EdgeError as error:
        _show(error.as_dict(), str(error))
        sys.exit(error.exit_code)
    except SystemExit as stop:
        # typer ends with 1 only when the reader of our output has gone; 1 is kept for gates here.
        sys.exit(141 if stop.code == 1 else stop.code)
    except MemoryError:
        _show(
            {"kind": "usage", "exit_code": 2, "thing": "memory", "reason": "it ran out", "mend": "a smaller input"},
            "memory: it ran out.\n  mend: give a smaller --input-size or --batch",
        )
        sys.exit(2)
    except Exception as error:  # noqa: BLE001 - the top: whatever gets here is a defect of ours
        _defect(error)
    sys.exit(0)


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    # As an exception, so that half-written folders are removed on the way out.
    sys.exit(128 + signal.SIGTERM)


def _show(document: dict[str, str | int], text: str) -> None:
    if "--json" in sys.argv:
        typer.echo(json.dumps({"error": document}, indent=2))
    typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
    typer.echo(text, err=True)


def _defect(error: Exception) -> NoReturn:
    import traceback

    reason = f"{type(error).__name__}: {error}"
    mend = "please report it with the command and the lines above; EDGEVISION_DEBUG=1 shows the whole trace"
    if os.environ.get("EDGEVISION_DEBUG"):
        traceback.print_exception(error)
    else:
        traceback.print_exception(error, limit=-3)
    document: dict[str, str | int] = {
        "kind": "defect",
        "exit_code": 70,
        "thing": "edgevision",
        "reason": reason,
        "mend": mend,
    }
    _show(document, f"this is a defect of edgevision: {reason}\n  mend: {mend}")
    sys.exit(70)
