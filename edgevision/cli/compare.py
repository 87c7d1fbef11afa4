"""`edgevision compare`: two forms of one model, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevision.cli.options import Json

__all__ = ["register"]


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="The reference: a bundle or an ONNX file")],
    b: Annotated[Path, typer.Argument(metavar="B", help="What is compared with it: a bundle or an ONNX file")],
    data: Annotated[
        str | None, typer.Option("--data", metavar="DIR|NPZ|digits", help="Images; noise if absent")
    ] = None,
    images: Annotated[int, typer.Option("--images", min=1, help="How many are used")] = 4,
    threshold: Annotated[float, typer.Option("--threshold", help="Relative L2 error that counts as divergence")] = 0.1,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Layers shown, those that introduce most first")] = 15,
    json: Json = False,
) -> None:
    """Name the first and the worst layer at which B leaves A."""
    from edgevision.cli.console import print_facts, print_json, print_table, warn
    from edgevision.manifest import as_json
    from edgevision.quantize.compare import compare as run
    from edgevision.quantize.compare_inputs import open_feeds, open_graph

    left, right = open_graph(a), open_graph(b)
    feeds, noise = open_feeds(left, data, images)
    found = run(left.model, right.model, feeds, threshold=threshold)
    if noise:
        warn(["compared on noise: a quantized model is worse there than on images; give --data"])
    if json:
        print_json(as_json(found))
        return
    shown = sorted(found.layers, key=lambda layer: -layer.introduced)[:rows]
    cells = [(s.tensor, s.op, s.module, f"{s.introduced:.1e}", f"{s.relative_l2:.1e}") for s in shown]
    print_table("layers that introduce most", ["tensor", "operator", "module", "introduced", "accumulated"], cells)
    last = found.layers[-1]
    facts = [
        ("first above the threshold", found.first.tensor if found.first else f"none exceeds {threshold:g}"),
        ("worst", f"{found.worst.tensor} ({found.worst.op}) introduces {found.worst.introduced:.1e}"),
        ("at the end", f"{last.tensor}: relative L2 {last.relative_l2:.1e}, {last.max_abs_over_std:.1e} of std"),
        ("compared", f"{len(found.layers)} tensors on {len(feeds)} inputs"),
    ]
    print_facts(f"{b} against {a}", facts)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(compare)
