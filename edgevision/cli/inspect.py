"""`edgevision inspect`: what a bundle holds and how it was made."""

from __future__ import annotations

import typer

from edgevision.cli.options import BundleArg, Json

__all__ = ["register"]


def inspect(bundle: BundleArg, json: Json = False) -> None:
    """Show a bundle's manifest: stages, graph, artifact, proofs, and what the build knows of the artifact."""
    from edgevision.bundle import open_bundle, open_record
    from edgevision.cli.console import print_json
    from edgevision.cli.show import show_manifest, show_record
    from edgevision.manifest import as_json

    manifest = open_bundle(bundle)
    record = open_record(bundle, manifest)
    if json:
        print_json({**as_json(manifest), **({} if record is None else {"record": record})})
    else:
        show_manifest(bundle, manifest)
        show_record(manifest, record)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(inspect)
