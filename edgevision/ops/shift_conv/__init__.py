"""A 2-d convolution whose weights are signed powers of two, stored as packed codes; see `edgevision.ops.shift_linear`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgevision.ops.emit import emit
from edgevision.ops.operator import AttributeValue, Operator, Tensor
from edgevision.ops.shift_conv.bodies import BODIES
from edgevision.ops.shift_conv.reference import example, reference
from edgevision.ops.shift_conv.schema import ATTRIBUTES, INPUTS, NAME
from edgevision.ops.shift_conv.torch_op import shift_conv

__all__ = ["OPERATOR", "shift_conv"]


def _translate(
    x: Any,
    packed: Any,
    scale: Any = None,
    bias: Any = None,
    form: str = "ps",
    bits: int = 5,
    activations: str = "float",
    kernel_shape: Sequence[int] = (1, 1),
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    group: int = 1,
) -> Any:
    attributes: dict[str, AttributeValue] = {
        "form": form,
        "bits": bits,
        "activations": activations,
        "kernel_shape": tuple(kernel_shape),
        "strides": tuple(strides),
        "pads": tuple(pads),
        "dilations": tuple(dilations),
        "group": group,
    }
    return emit(OPERATOR, (x, packed, scale, bias), attributes)


OPERATOR = Operator(
    name=NAME,
    doc="y = scale · (W * x) + bias, ONNX's Conv in two dimensions with every weight a signed power of two or 0 (ps, q), or a "
    "sum of two such (apot). Activations fixed: x and bias are floored to 2^-16 and clamped to [-2^15, 2^15 - 1] first. "
    "int32: every product is an arithmetic right shift of the 32-bit x, sums wrap around, and without a scale the bias is "
    "part of the sum.",
    inputs=INPUTS,
    outputs=(Tensor(name="y", shape="[Bt, M, H', W']"),),
    attributes=ATTRIBUTES,
    reference=reference,
    example=example,
    bodies=BODIES,
    torch_op="edgevision::shift_conv",
    translate=_translate,
)
