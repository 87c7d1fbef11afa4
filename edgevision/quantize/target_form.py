"""The float graph that is quantized: the form the target runs fastest, since INT8 has to beat that one.

For ONNX Runtime it is what `build` would make of the float graph, fused operators included. Shaping comes before
quantizing because the equations it applies need constant weights, and a Q/DQ pair in between hides them.
"""

from __future__ import annotations

import onnx_ir as ir

from edgevision import native
from edgevision.passes.large_depthwise import plain_depthwise
from edgevision.passes.norm_channels_last import norm_channels_last
from edgevision.passes.norm_of_rows import norm_of_rows
from edgevision.targets.onnxruntime.lowering import lower

__all__ = ["int8_form", "kernels_run", "target_form"]


def target_form(model: ir.Model, target: str, *, plugins: bool) -> ir.Model:
    """`model` (which is not changed) as `target` runs it in float; `plugins`: our kernels may be used."""
    copy = model.clone()
    if target == "ort":
        lower(copy, kernels=kernels_run(target, plugins=plugins))
    return copy


def kernels_run(target: str, *, plugins: bool) -> bool:
    """Whether `target` will have our kernels."""
    return target == "ort" and plugins and native.why_not() is None


def int8_form(model: ir.Model, target: str) -> ir.Model:
    """A target form, of which a copy is changed where float operators between INT8 ones are better off otherwise."""
    copy = model.clone()
    if target == "ort":
        plain_depthwise(copy)
        norm_of_rows(copy)
        norm_channels_last(copy)
    return copy
