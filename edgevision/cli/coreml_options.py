"""Options of the Core ML target, for every command that builds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from edgevision.errors import UsageError

__all__ = [
    "AlsoSizes",
    "ClassNames",
    "CompressWeights",
    "DeploymentTarget",
    "ImageInput",
    "coreml_options",
]

DeploymentTarget = Annotated[
    str | None, typer.Option("--minimum-deployment-target", metavar="iOS17", help="coreml: oldest system to run on")
]
ImageInput = Annotated[
    str | None,
    typer.Option(
        "--image-input",
        metavar="card|MEAN/STD",
        help="coreml: take an image; normalized inside as the card says, or by e.g. 0.485,0.456,0.406/0.229,0.224,0.225",
    ),
]
ClassNames = Annotated[
    Path | None, typer.Option("--labels", help="coreml: text file, one class name a line; makes it a classifier")
]
CompressWeights = Annotated[
    str | None,
    typer.Option(
        "--compress-weights", metavar="FORM", help="coreml: int8, int4, palette8, palette6 or palette4, weights alone"
    ),
]
AlsoSizes = Annotated[
    str | None, typer.Option("--also-sizes", metavar="HxW,HxW", help="coreml: further input sizes of the same package")
]


def coreml_options(
    minimum_deployment_target: str | None,
    image_input: str | None,
    labels: Path | None,
    compress_weights: str | None,
    also_sizes: str | None,
) -> dict[str, Any]:
    """Those that were typed, as fields of the target.

    Raises:
        UsageError: one is ill-formed.
        DataError: the labels cannot be read.
    """
    from edgevision.class_names import read_class_names
    from edgevision.spec import parse_input_size

    options: dict[str, Any] = {}
    if minimum_deployment_target is not None:
        options["minimum_deployment_target"] = minimum_deployment_target
    if image_input is not None:
        options |= {"image_input": True, **_normalization(image_input)}
    if labels is not None:
        options["labels"] = tuple(read_class_names(labels))
    if compress_weights is not None:
        options["compress_weights"] = compress_weights
    if also_sizes:
        options["also_sizes"] = tuple(parse_input_size(size) for size in also_sizes.split(","))
    return options


def _normalization(text: str) -> dict[str, tuple[float, ...]]:
    """`mean` and `std` as typed; nothing where the card shall say."""
    if text == "card":
        return {}
    try:
        mean, std = (tuple(float(number) for number in part.split(",")) for part in text.split("/"))
    except ValueError:
        mean = std = ()
    if len(mean) != 3 or len(std) != 3 or not all(math.isfinite(number) for number in (*mean, *std)):
        raise UsageError(
            f"--image-input {text}",
            "it is neither `card` nor three means and three stds",
            "e.g. 0.485,0.456,0.406/0.229,0.224,0.225, of pixels scaled to 0..1",
        )
    return {"mean": mean, "std": std}
