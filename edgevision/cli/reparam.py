"""`edgevision reparam`: a model's branches and norms merged, proven equal, written as a checkpoint or a graph."""

from __future__ import annotations

from typing import Annotated

import typer

from edgevision.cli.options import Json, ModelArg, ModelArgs, Out, SizeText, WeightsFile, WeightsKey, parse_model_args

__all__ = ["register"]


def reparam(
    model: ModelArg,
    weights: WeightsFile = None,
    weights_key: WeightsKey = None,
    model_arg: ModelArgs = None,
    input_size: SizeText = None,
    out: Out = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Every merge, and every one declined with its reason")
    ] = False,
    json: Json = False,
) -> None:
    """Merge a model's parallel branches, norms and scales.

    --out deploy.pth or deploy.onnx keeps the result.
    """
    from edgevision.cli.console import print_json, progress, warn
    from edgevision.cli.show_reparam import show_reparam
    from edgevision.deploy import MergeOptions, merge_model
    from edgevision.spec import parse_input_size

    options = MergeOptions(
        model=model,
        weights=weights,
        weights_key=weights_key,
        model_args=parse_model_args(model_arg),
        input_size=None if input_size is None else parse_input_size(input_size),
        out=out,
    )
    with progress("reparam") as report:
        merged = merge_model(options, report=report)
    warn(merged.warnings)
    if json:
        print_json(merged.as_dict())
    else:
        show_reparam(merged, explain=explain)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reparam)
