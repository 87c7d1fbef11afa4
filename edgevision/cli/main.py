"""The `edgevision` command: its subcommands, and the one place where errors become exit codes.

Exit codes: 0 done; 1 a gate said no; 2 usage; 3 model or weights; 4 graph or operator; 5 target; 6 device; 7 data;
8 output; 70 a defect of ours; 128 + n stopped by signal n (130: Ctrl-C); 141 the reader of our output went away.
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
from edgevision.cli import (
    catalog,
    compare,
    devices,
    doctor,
    export,
    inspect,
    profile,
    quantize,
    regress,
    reparam,
    report,
    run,
    shiftadd,
    verify,
)
from edgevision.cli import compile as compile_command
from edgevision.errors import EdgeError, GateError, UsageError

__all__ = ["app", "main"]

#: Exit codes of a shell's making: 128 and the signal's number; a closed pipe is SIGPIPE.
SIGNALLED, INTERRUPTED, PIPE_CLOSED = 128, 130, 141

app = typer.Typer(
    name="edgevision",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich costs as much time as everything else that `--help` does
    help="Vision models re-parameterized, quantized, proven equal and measured on the device they will run on.",
)
_COMMANDS = (
    export,
    quantize,
    regress,
    reparam,
    shiftadd,
    compile_command,
    verify,
    compare,
    inspect,
    run,
    profile,
    report,
    devices,
    catalog,
    doctor,
)
for module in _COMMANDS:
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
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # under nohup, a hangup is to be ignored
            signal.signal(number, _terminate)
    try:
        app()
    except EdgeError as error:
        _fail(error)
    except MemoryError:
        _fail(UsageError("memory", "it ran out", "give a smaller --input-size or --batch"))
    except SystemExit as stop:
        _stop(stop.code)
    except Exception as error:  # noqa: BLE001 - the top: whatever gets here is a defect of ours
        _defect(error)
    sys.exit(0)


def _stop(code: str | int | None) -> NoReturn:
    """End with the code that typer, or a signal, ended with."""
    if code == INTERRUPTED or (isinstance(code, int) and code > SIGNALLED):
        mend = "nothing half-written was left behind"
        _show(_document("interrupted", code, "edgevision", "it was told to stop", mend), f"interrupted: {mend}")
    if code == UsageError.exit_code:  # typer has said on stderr what is wrong
        mend = "see `edgevision COMMAND --help`"
        _print_json(_document("usage", code, "command line", "an option or argument is missing or wrong", mend))
    # typer ends with 1 only when the reader of our output has gone; 1 is kept for gates here.
    sys.exit(PIPE_CLOSED if code == GateError.exit_code else code)


def _terminate(number: int, _frame: FrameType | None) -> NoReturn:
    # As an exception, so that half-written folders are removed on the way out.
    sys.exit(SIGNALLED + number)


def _fail(error: EdgeError) -> NoReturn:
    _show(error.as_dict(), str(error))
    sys.exit(error.exit_code)


def _show(document: dict[str, str | int], text: str) -> None:
    _print_json(document)
    typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
    typer.echo(text, err=True)


def _print_json(document: dict[str, str | int]) -> None:
    if "--json" in sys.argv:
        typer.echo(json.dumps({"error": document}, indent=2))


def _document(kind: str, code: int, thing: str, reason: str, mend: str) -> dict[str, str | int]:
    return {"kind": kind, "exit_code": code, "thing": thing, "reason": reason, "mend": mend}


def _defect(error: Exception) -> NoReturn:
    import traceback

    reason = f"{type(error).__name__}: {error}"
    mend = "please report it with the command and the lines above; EDGEVISION_DEBUG=1 shows the whole trace"
    traceback.print_exception(error, limit=None if os.environ.get("EDGEVISION_DEBUG") else -3)
    _show(
        _document("defect", EdgeError.exit_code, "edgevision", reason, mend),
        f"this is a defect of edgevision: {reason}\n  mend: {mend}",
    )
    sys.exit(EdgeError.exit_code)
