"""`edgevision shiftadd`: weights into signed powers of two, with what that costs and what it is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevision.cli.options import (
    BatchText,
    DataText,
    Images,
    Json,
    ModelArg,
    ModelArgs,
    Out,
    SizeText,
    WeightsFile,
    WeightsKey,
    parse_model_args,
)

__all__ = ["register"]


def shiftadd(
    model: ModelArg,
    form: Annotated[str, typer.Option("--form", help="ps, q, or apot (sums of two powers)")] = "ps",
    bits: Annotated[int, typer.Option("--bits", help="2 to 8; 5 are exponents down to 2^-14")] = 5,
    no_zero: Annotated[bool, typer.Option("--no-zero", help="Form q without its zero, one bit less")] = False,
    select: Annotated[
        list[str] | None, typer.Option("--select", metavar="PATTERN", help="Layers by name, kind or module: *.mlp.*")
    ] = None,
    scale: Annotated[str | None, typer.Option("--scale", metavar="per-channel", help="A factor per output")] = None,
    activations: Annotated[
        str, typer.Option("--activations", help="float; fixed: floored to 2^-16; int32: products and sums in integers")
    ] = "float",
    attention: Annotated[
        str | None,
        typer.Option(
            "--attention", metavar="linear-angular|hash", help="Softmax attention becomes additive, over hashes"
        ),
    ] = None,
    fold: Annotated[bool, typer.Option("--fold", help="Write dense weights: larger file, nothing to unpack")] = False,
    data: DataText = None,
    images: Images = 200,
    max_drop: Annotated[
        float | None, typer.Option("--max-drop", metavar="PP", help="Points of top-1 that may be lost on --data")
    ] = None,
    weights: WeightsFile = None,
    weights_key: WeightsKey = None,
    model_arg: ModelArgs = None,
    input_size: SizeText = None,
    batch: BatchText = "1",
    profile: Annotated[
        list[Path] | None,
        typer.Option(
            "--profile", metavar="FILE", help="Of `edgevision profile`: measured time and energy to show beside"
        ),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Every layer, and why others stay dense")] = False,
    out: Out = None,
    json: Json = False,
) -> None:
    """Turn multiplications into shifts: weights become powers of two.

    --out shifted.onnx keeps the result; `edgevision export --model shifted.onnx` takes it to any target.
    """
    from edgevision.cli.console import print_json, progress, warn
    from edgevision.cli.show_shiftadd import show_shiftadd
    from edgevision.errors import UsageError
    from edgevision.shiftadd.account import ADVICE, ShiftOptions
    from edgevision.shiftadd.conversion import shift_model
    from edgevision.spec import Batch, parse_input_size

    if scale not in (None, "per-channel"):
        raise UsageError(f"--scale {scale}", "there is no such scale", "use per-channel, or leave it out")
    options = ShiftOptions(
        model=model,
        weights=weights,
        weights_key=weights_key,
        model_args=parse_model_args(model_arg),
        input_size=None if input_size is None else parse_input_size(input_size),
        form=form,
        bits=bits,
        zero=not no_zero,
        select=tuple(select or ()),
        per_channel=scale is not None,
        activations=activations,
        attention=attention,
        batch=Batch.parse(batch),
        fold=fold,
        data=data,
        images=images,
        max_drop=max_drop,
        profiles=tuple(profile or ()),
        out=out,
    )
    warn([ADVICE])
    with progress("shiftadd") as report:
        shifted = shift_model(options, report=report)
    warn(shifted.warnings)
    if json:
        print_json(shifted.as_dict())
    else:
        show_shiftadd(shifted, explain=explain)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(shiftadd)
