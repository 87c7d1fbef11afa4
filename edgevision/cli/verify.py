"""`edgevision verify`: a bundle checked again, on this machine."""

from __future__ import annotations

import typer

from edgevision.cli.options import BundleArg, Json

__all__ = ["register"]


def verify(bundle: BundleArg, json: Json = False) -> None:
    """Check a bundle again, on this machine.

    Every file's hash, then the artifact against the sample it carries and against its own portable graph.
    """
    from edgevision.check_bundle import check_bundle
    from edgevision.cli.console import print_facts, print_json
    from edgevision.manifest import as_json

    checked = check_bundle(bundle)
    parity = checked.parity
    if json:
        print_json({"bundle": str(bundle), "parity": as_json(parity)})
        return
    rows = [
        ("status", parity.status),
        ("against", parity.reference),
        ("max error / std", "" if parity.max_abs_over_std is None else f"{parity.max_abs_over_std:.1e}"),
        ("tolerance", f"{parity.tolerance:.0e}"),
        ("samples", parity.samples),
    ]
    print_facts(str(bundle), rows)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)
