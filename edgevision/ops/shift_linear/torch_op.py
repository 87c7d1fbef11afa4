"""The shift linear layer as a torch custom op; its weights are codes, and so what can be trained is the rest."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from edgevision.ops.shift_code import ShiftCode
from edgevision.ops.shift_linear.schema import NAME
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

__all__ = ["shift_linear"]

_SCHEMA = (
    "(Tensor x, Tensor packed, Tensor? scale=None, Tensor? bias=None, *, "
    'str form="ps", int bits=5, str activations="float") -> Tensor'
)


def _code(x: Tensor, packed: Tensor, form: str, bits: int, activations: str) -> ShiftCode:
    code = ShiftCode(form=form, bits=bits)
    check(NAME, packed, x.shape[-1], code, activations)
    return code


@torch.library.custom_op("edgevision::shift_linear", mutates_args=(), schema=_SCHEMA)
def _shift_linear(
    x: Tensor,
    packed: Tensor,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    form: str = "ps",
    bits: int = 5,
    activations: str = "float",
) -> Tensor:
    code = _code(x, packed, form, bits, activations)
    if activations == "int32":
        return _integer(x, packed, code, scale, bias)
    fixed = activations == "fixed"
    w = scaled(weight(packed, code, x.shape[-1], x), scale)
    return torch.nn.functional.linear(
        floored(x) if fixed else x, w, floored(bias) if fixed and bias is not None else bias
    )


def _integer(x: Tensor, packed: Tensor, code: ShiftCode, scale: Tensor | None, bias: Tensor | None) -> Tensor:
    codes = unpacked(packed, code.width, x.shape[-1])
    total = x.new_zeros(*x.shape[:-1], packed.shape[0], dtype=torch.float64)
    for units, signs in shifted(x, codes, code):
        total += units @ signs.T
    return finished(total, scale, bias, x)


@_shift_linear.register_fake
def _(
    x: Tensor,
    packed: Tensor,
    scale: Tensor | None = None,  # noqa: ARG001
    bias: Tensor | None = None,  # noqa: ARG001
    *,
    form: str = "ps",
    bits: int = 5,
    activations: str = "float",
) -> Tensor:
    _code(x, packed, form, bits, activations)
    return x.new_empty(*x.shape[:-1], packed.shape[0])


def _remember(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, Any], output: Tensor) -> None:
    ctx.save_for_backward(*inputs, output)
    ctx.code = ShiftCode(form=keyword_only_inputs["form"], bits=keyword_only_inputs["bits"])


def _backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, None, Tensor | None, Tensor | None]:
    """Flooring is passed straight through, as in the papers."""
    x, packed, scale, bias, y = ctx.saved_tensors
    dx = dy @ scaled(weight(packed, ctx.code, x.shape[-1], x), scale)
    return dx, None, *vector_gradients(dy, y, scale, bias, -1)


_shift_linear.register_autograd(_backward, setup_context=_remember)


def shift_linear(
    x: Tensor,
    packed: Tensor,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    form: str = "ps",
    bits: int = 5,
    activations: str = "float",
) -> Tensor:
    """A linear layer, y = scale · (W x) + bias, with weights that are signed powers of two (or sums of two).

    Args:
        x: [..., K].
        packed: uint8 [N, ceil(K/8)·w], `edgevision.ops.bit_packing.pack` of `ShiftCode(form, bits).encode(weight)`.
        scale: [N], or None for 1.
        bias: [N], or None.
        form: `ps`, `q`, `q_nonzero` or `apot`.
        bits: 2 to 8.
        activations: `float`; `fixed`, x and bias floored to 2^-16; `int32`, every product floored too and sums wrapped.

    Returns:
        [..., N].
    """
    result: Tensor = torch.ops.edgevision.shift_linear.default(
        x, packed, scale, bias, form=form, bits=bits, activations=activations
    )
    return result
