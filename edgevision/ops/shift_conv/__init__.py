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
from edgevision.ops.shift_linear.schema import ARITHMETIC

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
    doc=f"y = scale · (W * x) + bias, ONNX's Conv in two dimensions with every weight {ARITHMETIC}",
    inputs=INPUTS,
    outputs=(Tensor(name="y", shape="[Bt, M, H', W']"),),
    attributes=ATTRIBUTES,
    reference=reference,
    example=example,
    bodies=BODIES,
    torch_op="edgevision::shift_conv",
    translate=_translate,
)
