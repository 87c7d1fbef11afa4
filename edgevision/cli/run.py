"""`edgevision run`: a bundle on one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevision.cli.options import BundleArg, Json, Out

__all__ = ["register"]


def run(
    bundle: BundleArg,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="PNG, JPEG, or a .npy array [C, H, W]")],
    labels: Annotated[Path | None, typer.Option("--labels", help="Text file, one class name a line")] = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Run a bundle on a picture; --out keeps the raw outputs as .npz."""
    from edgevision.cli.console import print_json, print_table
    from edgevision.manifest import as_json
    from edgevision.predict import predict, write_outputs

    prediction = predict(bundle, image, labels=labels)
    if out is not None:
        write_outputs(prediction, out)
    shapes = [list(o.shape) for o in prediction.outputs]
    if json:
        print_json(
            {"image": str(image), "top": as_json(prediction.top), "outputs": shapes, "ms": prediction.milliseconds}
        )
        return
    rows = [(f"{g.probability:.4f}", g.index, g.label) for g in prediction.top]
    if rows:
        print_table(image.name, ["probability", "class", "label"], rows)
    else:
        print_table(image.name, ["output", "shape"], list(enumerate(shapes)))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)
