"""The depthwise convolution as a Conv of groups."""

from __future__ import annotations

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.depthwise_conv.schema import ATTRIBUTES, INPUTS, NAME
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, function

__all__ = ["BODIES"]


def _groups(signature: Signature) -> ir.Function:
    dims = signature.shapes[1]
    if dims is None or dims[0] is None:
        raise GraphError(NAME, f"its weight has shape {dims}", "give [C, 1, kh, kw] with C known")
    geometry = {a.name: _ints(signature, a.name, len(a.default)) for a in ATTRIBUTES if isinstance(a.default, tuple)}
    r = Recorder(signature.element_type)
    x, weight, bias = inputs = [ir.Value(name=t.name) for t in INPUTS]
    biased = signature.present(2)
    y = r.op("Conv", x, weight, *([bias] if biased else []), group=dims[0], **geometry)
    numbers = "_".join("x".join(map(str, values)) for values in geometry.values())
    return function(NAME, f"c{dims[0]}_{numbers}{'_bias' if biased else ''}", inputs, y, ATTRIBUTES, r)


def _ints(signature: Signature, name: str, length: int) -> tuple[int, ...]:
    value = signature.attributes[name]
    if not isinstance(value, tuple) or len(value) != length:
        raise GraphError(NAME, f"{name} is {value!r}", f"give {length} integers")
    return value


BODIES = {"canonical": _groups}
