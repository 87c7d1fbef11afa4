"""The inverse DWT as one grouped transposed convolution of stride 2, whose padding also crops."""

from __future__ import annotations

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.idwt.schema import ATTRIBUTES, INPUTS, NAME
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, function
from edgevision.ops.wavelet import synthesis
from edgevision.ops.wavelet_bodies import continued, level, per_channel, regrouped

__all__ = ["BODIES"]


def _transposed_convolution(signature: Signature) -> ir.Function:
    at = level(NAME, signature, 5)
    crop = signature.attributes["crop"]
    if not isinstance(crop, tuple) or len(crop) != 2 or min(crop) < 0:
        raise GraphError(NAME, f"crop is {crop}", "give [bottom, right], neither negative")
    r = Recorder(at.element_type)
    x, filters = inputs = [ir.Value(name=t.name) for t in INPUTS]
    border = synthesis(at.rows or 0, at.k, at.mode)
    bands = regrouped(r, x, (4 * at.channels,), (at.rows, at.columns))
    if border.wrap:
        bands = continued(r, continued(r, bands, 2, at.rows, border.wrap), 3, at.columns, border.wrap)
    pads = [border.pad, border.pad, border.pad + crop[0], border.pad + crop[1]]
    y = r.op("ConvTranspose", bands, per_channel(r, filters, at), strides=[2, 2], pads=pads, group=at.channels)
    return function(NAME, at.overload("conv", *crop), inputs, y, ATTRIBUTES, r)


BODIES = {"canonical": _transposed_convolution}
