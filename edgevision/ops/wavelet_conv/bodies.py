"""The wavelet convolution as three grouped convolutions: stride 2, stride 1, transposed with stride 2."""

from __future__ import annotations

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, function
from edgevision.ops.wavelet_conv.schema import ATTRIBUTES, INPUTS, NAME

__all__ = ["BODIES"]


def _convolutions(signature: Signature) -> ir.Function:
    x_dims, weight_dims = signature.shapes[0], signature.shapes[3]
    if x_dims is None or weight_dims is None or None in x_dims[1:] or weight_dims[2] is None:
        raise GraphError(NAME, "its channels, pixels and taps must be known", "infer shapes")
    channels, height, width = (int(d or 0) for d in x_dims[1:])
    pad, odd = weight_dims[2] // 2, [0, 0, height % 2, width % 2]
    biased, added, rectified = signature.present(4), signature.present(5), bool(signature.attributes["relu"])
    r = Recorder(signature.element_type)
    x, forward, inverse, weight, bias, residual = inputs = [ir.Value(name=t.name) for t in INPUTS]
    bands = r.op("Conv", x, forward, strides=[2, 2], group=channels, pads=odd)
    arguments = [bands, weight, bias] if biased else [bands, weight]
    mixed = r.op("Conv", *arguments, group=4 * channels, pads=[pad] * 4)
    y = r.op("ConvTranspose", mixed, inverse, strides=[2, 2], group=channels, pads=odd)
    y = r.op("Add", residual, y) if added else y
    y = r.op("Relu", y) if rectified else y
    flags = {"bias": biased, "residual": added, "relu": rectified}
    size = f"c{channels}k{weight_dims[2]}_odd{height % 2}{width % 2}"
    return function(NAME, "_".join([size, *(f for f, on in flags.items() if on)]), inputs, y, ATTRIBUTES, r)


BODIES = {"canonical": _convolutions}
