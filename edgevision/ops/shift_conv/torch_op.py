"""The shift convolution as a torch custom op; its weights are codes, and so what can be trained is the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from edgevision.ops.shift_code import ShiftCode
from edgevision.ops.shift_conv.schema import NAME
from edgevision.ops.shift_torch import (
    check,
    finished,
    floored,
    scaled,
    shifted,
    unpacked,
    vector_gradients,
    weight,
)

__all__ = ["shift_conv"]

_SCHEMA = (
    '(Tensor x, Tensor packed, Tensor? scale=None, Tensor? bias=None, *, str form="ps", int bits=5, '
    'str activations="float", int[] kernel_shape=[1, 1], int[] strides=[1, 1], int[] pads=[0, 0, 0, 0], '
    "int[] dilations=[1, 1], int group=1) -> Tensor"
)


@dataclass(frozen=True, kw_only=True)
class _Geometry:
    kernel_shape: Sequence[int] = (1, 1)
    strides: Sequence[int] = (1, 1)
    pads: Sequence[int] = (0, 0, 0, 0)
    dilations: Sequence[int] = (1, 1)
    group: int = 1

    def padded(self, x: Tensor) -> Tensor:
        top, left, bottom, right = self.pads
        return torch.nn.functional.pad(x, (left, right, top, bottom)) if any(self.pads) else x

    def size(self, length: int, axis: int) -> int:
        padded = length + self.pads[axis] + self.pads[axis + 2]
        return (padded - self.dilations[axis] * (self.kernel_shape[axis] - 1) - 1) // self.strides[axis] + 1


def _taps(x: Tensor, at: _Geometry) -> int:
    """Of an output channel."""
    return x.shape[1] // at.group * at.kernel_shape[0] * at.kernel_shape[1]


@torch.library.custom_op("edgevision::shift_conv", mutates_args=(), schema=_SCHEMA)
def _shift_conv(
    x: Tensor,
    packed: Tensor,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    form: str = "ps",
    bits: int = 5,
    activations: str = "float",
    kernel_shape: Sequence[int] = (1, 1),
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    group: int = 1,
) -> Tensor:
    code = ShiftCode(form=form, bits=bits)
    at = _Geometry(kernel_shape=kernel_shape, strides=strides, pads=pads, dilations=dilations, group=group)
    taps = _taps(x, at)
    check(NAME, packed, taps, code, activations)
    if activations == "int32":
        codes = unpacked(packed, code.width, taps).reshape(packed.shape[0], -1, *kernel_shape)
        return _integer(x, codes, code, (scale, bias), at)
    w = scaled(_kernel(packed, code, taps, x, at), scale)
    fixed = activations == "fixed"
    maps = at.padded(floored(x) if fixed else x)
    addend = floored(bias) if fixed and bias is not None else bias
    return torch.nn.functional.conv2d(maps, w, addend, list(strides), 0, list(dilations), group)


def _integer(
    x: Tensor, codes: Tensor, code: ShiftCode, optional: tuple[Tensor | None, Tensor | None], at: _Geometry
) -> Tensor:
    sums = (
        torch.nn.functional.conv2d(at.padded(units), signs, None, list(at.strides), 0, list(at.dilations), at.group)
        for units, signs in shifted(x, codes, code)
    )
    scale, bias = (None if v is None else v[:, None, None] for v in optional)
    return finished(reduce(torch.add, sums), scale, bias, x)


def _kernel(packed: Tensor, code: ShiftCode, taps: int, like: Tensor, at: _Geometry) -> Tensor:
    return weight(packed, code, taps, like).reshape(packed.shape[0], -1, *at.kernel_shape)


@_shift_conv.register_fake
def _(
    x: Tensor,
    packed: Tensor,
    scale: Tensor | None = None,  # noqa: ARG001
    bias: Tensor | None = None,  # noqa: ARG001
    *,
    form: str = "ps",
    bits: int = 5,
    activations: str = "float",
    kernel_shape: Sequence[int] = (1, 1),
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    group: int = 1,
) -> Tensor:
    at = _Geometry(kernel_shape=kernel_shape, strides=strides, pads=pads, dilations=dilations, group=group)
    check(NAME, packed, _taps(x, at), ShiftCode(form=form, bits=bits), activations)
    return x.new_empty(x.shape[0], packed.shape[0], at.size(x.shape[2], 0), at.size(x.shape[3], 1))


def _remember(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, Any], output: Tensor) -> None:
    given = dict(keyword_only_inputs)
    ctx.code = ShiftCode(form=given.pop("form"), bits=given.pop("bits"))
    given.pop("activations")
    ctx.at = _Geometry(**given)
    ctx.save_for_backward(*inputs, output)


def _backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None, Tensor | None, Tensor | None]:
    """Flooring is passed straight through, as in the papers."""
    x, packed, scale, bias, y = ctx.saved_tensors
    at: _Geometry = ctx.at
    w = scaled(_kernel(packed, ctx.code, _taps(x, at), x, at), scale)
    wide = at.padded(x)
    dwide = torch.ops.aten.convolution_backward(
        dy, wide, w, None, list(at.strides), [0, 0], list(at.dilations), False, [0, 0], at.group, [True, False, False]
    )[0]
    top, left = at.pads[:2]
    dx = dwide[:, :, top : top + x.shape[2], left : left + x.shape[3]]
    return dx, None, *vector_gradients(dy, y, scale, bias, 1)


_shift_conv.register_autograd(_backward, setup_context=_remember)


def shift_conv(
    x: Tensor,
    packed: Tensor,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    form: str = "ps",
    bits: int = 5,
    activations: str = "float",
    kernel_shape: Sequence[int] = (1, 1),
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    group: int = 1,
) -> Tensor:
    """A convolution, y = scale · (W * x) + bias, whose weights are signed powers of two (or sums of two).

    Args:
        x: [Bt, C, H, W].
        packed: uint8 [M, ceil(C/group·kh·kw/8)·w], packed codes of the weight as [M, C/group·kh·kw].
        scale: [M], or None for 1.
        bias: [M], or None.
        form: `ps`, `q`, `q_nonzero` or `apot`.
        bits: 2 to 8.
        activations: `float`; `fixed`, x and bias floored to 2^-16; `int32`, every product floored too and sums wrapped.
        kernel_shape, strides, pads, dilations, group: as ONNX's Conv counts them; pads are top, left, bottom, right.

    Returns:
        [Bt, M, H', W'].
    """
    result: Tensor = torch.ops.edgevision.shift_conv.default(
        x,
        packed,
        scale,
        bias,
        form=form,
        bits=bits,
        activations=activations,
        kernel_shape=list(kernel_shape),
        strides=list(strides),
        pads=list(pads),
        dilations=list(dilations),
        group=group,
    )
    return result
