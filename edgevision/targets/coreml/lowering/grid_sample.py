"""GridSample on images: MIL's `resample`, whose four paddings are ONNX's three (reflection depends on the corners)."""

from __future__ import annotations

from coremltools.converters.mil.mil import Builder as mb

from edgevision.targets.coreml.lowering.dtypes import like
from edgevision.targets.coreml.lowering.table import Call, MilVar, lowers

__all__: list[str] = []

_SAMPLING = {"linear": "bilinear", "bilinear": "bilinear", "nearest": "nearest"}


@lowers("GridSample")
def _grid_sample(call: Call) -> MilVar:
    x, grid = call.var(0), call.var(1)
    mode, padding = call.text("mode", "linear"), call.text("padding_mode", "zeros")
    aligned = bool(call.integer("align_corners", 0))
    if mode not in _SAMPLING:
        raise call.refuse(f"MIL samples bilinear or nearest, not {mode}", "use mode='linear'", attribute="mode")
    if x.rank != 4:
        raise call.refuse("MIL samples 2-D images only", "sample slice by slice", attribute="mode")
    mirrored = "reflection" if aligned else "symmetric"
    return mb.resample(
        x=x,
        coordinates=grid,
        sampling_mode=_SAMPLING[mode],
        padding_mode={"zeros": "constant", "border": "border", "reflection": mirrored}[padding],
        padding_value=like(x, 0),
        coordinates_mode="normalized_minus_one_to_one",
        align_corners=aligned,
    )
