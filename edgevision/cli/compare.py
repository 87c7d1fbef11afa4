"""`edgevision compare`: two computations of one model, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from edgevision.cli.options import Json, ModelArgs, SizeText, WeightsFile, WeightsKey, parse_model_args

if TYPE_CHECKING:
    from edgevision.quantize.compare import Comparison, Layer
    from edgevision.quantize.compare_inputs import Opened

__all__ = ["register"]

_SIDE = "a model (in PyTorch), an ONNX file (node by node) or a bundle (on its runtime)"


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help=f"The reference: {_SIDE}")],
    b: Annotated[str, typer.Argument(metavar="B", help="What is compared with it: the same")],
    data: Annotated[
        str | None, typer.Option("--data", metavar="DIR|NPZ|NPY|digits", help="Images; noise if absent")
    ] = None,
    images: Annotated[int, typer.Option("--images", min=1, help="How many are used")] = 4,
    threshold: Annotated[float, typer.Option("--threshold", help="Relative L2 error that counts as divergence")] = 0.1,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Layers shown, those that introduce most first")] = 15,
    weights: WeightsFile = None,
    weights_key: WeightsKey = None,
    model_arg: ModelArgs = None,
    input_size: SizeText = None,
    seed: Annotated[int, typer.Option("--seed", help="Of random weights")] = 0,
    json: Json = False,
) -> None:
    """Name the first and the worst layer at which B leaves A.

    Each by the PyTorch module it came from.
    """
    from edgevision.cli.console import print_json, warn
    from edgevision.manifest import as_json
    from edgevision.quantize.compare import compare as run
    from edgevision.quantize.compare_inputs import open_feeds, open_side
    from edgevision.spec import parse_input_size
    from edgevision.stages.load import LoadOptions

    torch = LoadOptions(
        weights=weights,
        weights_key=weights_key,
        model_args=parse_model_args(model_arg),
        input_size=None if input_size is None else parse_input_size(input_size),
        seed=seed,
    )
    with ExitStack() as held:
        sides = [open_side(text, torch, held) for text in (a, b)]
        _check_used({"--weights": weights, "--weights-key": weights_key, "--model-arg": model_arg}, sides)
        feeds, noise = open_feeds(sides, data, images)
        found = run(sides[0].side, sides[1].side, feeds, threshold=threshold)
    warn(_warnings(sides, noise=noise))
    if json:
        print_json({"kinds": [side.kind for side in sides], **as_json(found)})
        return
    _show(f"{b} ({sides[1].kind}) against {a} ({sides[0].kind})", found, len(feeds), rows)


def _check_used(torch_only: Mapping[str, object], sides: list[Opened]) -> None:
    from edgevision.errors import UsageError

    typed = [flag for flag, value in torch_only.items() if value is not None]
    if typed and not any(side.kind == "PyTorch" for side in sides):
        raise UsageError(typed[0], "neither A nor B is a PyTorch model", f"leave {typed[0]} out, or name the model")


def _warnings(sides: list[Opened], *, noise: bool) -> list[str]:
    known = {side.weights for side in sides} - {None}
    others = "the two were made of different weights: give those of the bundle by --weights, --weights-key or --seed"
    unlike = "compared on noise: a quantized model is worse there than on images; give --data"
    return [*([unlike] if noise else []), *([others] if len(known) > 1 else [])]


def _show(title: str, found: Comparison, inputs: int, rows: int) -> None:
    from edgevision.cli.console import print_facts, print_table

    shown = sorted(found.layers, key=lambda layer: -layer.introduced)[:rows]
    cells = [(s.tensor, s.op, s.module, f"{s.introduced:.1e}", f"{s.relative_l2:.1e}") for s in shown]
    print_table("layers that introduce most", ["tensor", "operator", "module", "introduced", "accumulated"], cells)
    last = found.layers[-1]
    first = f"none exceeds {found.threshold:g}" if found.first is None else _named(found.first)
    facts = [
        ("first above the threshold", first),
        ("worst", f"{_named(found.worst)} introduces {found.worst.introduced:.1e}"),
        ("at the end", f"{last.tensor}: relative L2 {last.relative_l2:.1e}, {last.max_abs_over_std:.1e} of std"),
        ("compared", f"{len(found.layers)} tensors on {inputs} inputs"),
    ]
    print_facts(title, facts)


def _named(layer: Layer) -> str:
    return f"{layer.tensor} ({layer.op}{f' of {layer.module}' if layer.module else ''})"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(compare)
