"""What the shift operators share in PyTorch: packed codes to a weight tensor, activations to fixed point."""

from __future__ import annotations

import torch
from torch import Tensor

from edgevision.ops.fixed_point import GREATEST, LEAST, ONE
from edgevision.ops.shift_code import ShiftCode

__all__ = ["floored", "unpacked", "weight"]


def unpacked(packed: Tensor, width: int, per_row: int) -> Tensor:
    """int64 [rows, per_row] codes of uint8 [rows, bytes]."""
    bits = (packed.unsqueeze(-1) >> torch.arange(8, device=packed.device, dtype=torch.uint8)) & 1
    bits = bits.reshape(packed.shape[0], -1, width)[:, :per_row].long()
    return (bits << torch.arange(width, device=packed.device)).sum(-1)


def weight(packed: Tensor, code: ShiftCode, per_row: int, like: Tensor) -> Tensor:
    """[rows, per_row] dense weights."""
    values = torch.as_tensor(code.values, dtype=like.dtype, device=like.device)
    return values[unpacked(packed, code.width, per_row)]


def floored(x: Tensor) -> Tensor:
    """floor(x·2^16)·2^-16, clamped."""
    return (torch.floor(x * ONE) / ONE).clamp(LEAST, GREATEST)
