"""`edgevision doctor`: what this machine has, what is missing, and how to mend it."""

from __future__ import annotations

import typer

from edgevision.cli.options import Json

__all__ = ["register"]


def doctor(json: Json = False) -> None:
    """Check this machine: packages, kernels, targets, cache. Changes nothing."""
    from edgevision.cli.console import print_json, print_table
    from edgevision.diagnosis import diagnose

    findings = diagnose()
    if json:
        print_json({"findings": [f.as_dict() for f in findings]})
        return
    rows = [("ok" if f.good else "missing", f.what, f.state, f.mend) for f in findings]
    print_table("doctor", ["", "what", "state", "mend"], rows)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)
