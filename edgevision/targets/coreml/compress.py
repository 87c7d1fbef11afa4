"""Smaller weights, activations untouched: linear int8 and int4, and palettes of 2^bits values.

What this buys is memory and, where the weights are the bottleneck, load and bandwidth; docs/coreml.md says on which
hardware it also buys speed. int4 takes one scale for 32 weights; palettes are found by k-means.
"""

from __future__ import annotations

from typing import Any

from edgevision.errors import UsageError
from edgevision.targets.coreml.deployment import DEPLOYMENTS
from edgevision.targets.coreml.quiet import quiet

__all__ = ["FORMS", "check_form", "compress"]

#: Form -> the first iOS release that reads it.
FORMS = {"int8": 16, "int4": 18, "palette8": 16, "palette6": 16, "palette4": 16}
#: Smaller constants are not worth a table or scales.
_THRESHOLD = 2048
_BLOCK = 32


def check_form(form: str, deployment: str) -> None:
    """UsageError where there is no such form, or the deployment target cannot read it; empty stands for none."""
    if not form:
        return
    if form not in FORMS:
        raise UsageError(
            f"--compress-weights {form}", "there is no such weight compression", f"one of: {', '.join(FORMS)}"
        )
    if FORMS[form] > DEPLOYMENTS[deployment]:
        raise UsageError(
            f"--compress-weights {form}",
            f"{deployment} cannot read it",
            f"use --minimum-deployment-target iOS{FORMS[form]} or later",
        )


def compress(model: Any, form: str) -> Any:
    """`model` with its constant weights in `form` (one of `FORMS`); as it is where `form` is empty."""
    if not form:
        return model
    with quiet():
        import coremltools.optimize.coreml as cto

        if form.startswith("palette"):
            palette = cto.OpPalettizerConfig(mode="kmeans", nbits=int(form[7:]), weight_threshold=_THRESHOLD)
            return cto.palettize_weights(model, cto.OptimizationConfig(global_config=palette))
        blocks: dict[str, Any] = {"granularity": "per_block", "block_size": _BLOCK} if form == "int4" else {}
        linear = cto.OpLinearQuantizerConfig(mode="linear_symmetric", dtype=form, weight_threshold=_THRESHOLD, **blocks)
        return cto.linear_quantize_weights(model, cto.OptimizationConfig(global_config=linear))
