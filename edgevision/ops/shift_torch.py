"""What the shift operators share in PyTorch: packed codes to a weight tensor, activations to fixed point, integer sums.

Integers travel as whole numbers in float64: sums of 32-bit numbers are exact there, and it has fast products.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from edgevision.errors import GraphError
from edgevision.ops.bit_packing import packed_bytes
from edgevision.ops.fixed_point import GREATEST, LEAST, ONE, check_activations
from edgevision.ops.shift_code import NO_SHIFT, ShiftCode

__all__ = ["check", "finished", "floored", "scaled", "shifted", "unpacked", "vector_gradients", "weight"]


def check(op: str, packed: Tensor, per_row: int, code: ShiftCode, activations: str) -> None:
    """GraphError for unknown activations, or packed weights whose rows are not `per_row` codes long."""
    check_activations(op, activations)
    bytes_per_row = packed_bytes(per_row, code.width)
    if packed.dim() != 2 or packed.dtype != torch.uint8 or packed.shape[1] != bytes_per_row:
        found, wanted = f"{packed.dtype} {tuple(packed.shape)}", f"uint8 [N, {bytes_per_row}]"
        raise GraphError(op, f"packed weights are {found}", f"give {wanted}")


def unpacked(packed: Tensor, width: int, per_row: int) -> Tensor:
    """int64 [rows, per_row] codes of uint8 [rows, bytes]."""
    bits = (packed.unsqueeze(-1) >> torch.arange(8, device=packed.device, dtype=torch.uint8)) & 1
    bits = bits.reshape(packed.shape[0], -1, width)[:, :per_row].long()
    return (bits << torch.arange(width, device=packed.device)).sum(-1)


def weight(packed: Tensor, code: ShiftCode, per_row: int, like: Tensor) -> Tensor:
    """[rows, per_row] dense weights."""
    values = torch.as_tensor(code.values, dtype=like.dtype, device=like.device)
    return values[unpacked(packed, code.width, per_row)]


def scaled(w: Tensor, scale: Tensor | None) -> Tensor:
    """The weight with the factor of each output, which is its first axis."""
    return w if scale is None else w * scale.reshape(-1, *[1] * (w.dim() - 1))


def vector_gradients(
    dy: Tensor, y: Tensor, scale: Tensor | None, bias: Tensor | None, axis: int
) -> tuple[Tensor | None, Tensor | None]:
    """Of scale and bias, which lie along `axis` of y = scale · (W x) + bias."""
    over = [i for i in range(dy.dim()) if i != axis % dy.dim()]
    along = [-1 if i not in over else 1 for i in range(dy.dim())]
    dscale = None
    if scale is not None:
        before = (y if bias is None else y - bias.reshape(along)) / scale.reshape(along)
        dscale = (dy * before).sum(over)
    return dscale, None if bias is None else dy.sum(over)


def floored(x: Tensor) -> Tensor:
    """floor(x·2^16)·2^-16, clamped."""
    return (torch.floor(x * ONE) / ONE).clamp(LEAST, GREATEST)


def shifted(x: Tensor, codes: Tensor, code: ShiftCode) -> Iterator[tuple[Tensor, Tensor]]:
    """For every shift there is: x in units of 2^-16 shifted by it, and where `codes` add (1) or subtract (-1) that."""
    units, t = (floored(x) * ONE).double(), code.terms
    for shifts in (t.first, t.second):
        for shift in sorted({int(s) for s in shifts} - {NO_SHIFT}):
            signs = torch.as_tensor(t.sign * (shifts == shift), dtype=torch.float64, device=x.device)
            yield torch.floor(units * 2.0**-shift), signs[codes]


def finished(total: Tensor, scale: Tensor | None, bias: Tensor | None, like: Tensor) -> Tensor:
    """Sums in units of 2^-16 as 32 bits hold them, then scale and bias; without a scale the bias is part of the sum."""
    if scale is None and bias is not None:
        total = total + (floored(bias) * ONE).double()
    y = ((total + 2**31).remainder(2**32) - 2**31).to(like.dtype) / ONE
    if scale is None:
        return y
    y = y * scale
    return y if bias is None else y + floored(bias)
