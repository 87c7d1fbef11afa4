"""A linear layer whose weight is a sign times a power of two, both trained (DeepShift-PS, arXiv 1905.13298).

    y = W floor16(x) + floor16(b),    W = sign(round(sign)) · 2^round(clamp(shift, least, 0))

with least = -14 for the usual five bits.
floor16 rounds down to a multiple of 2^-16 and clamps to 16 integer bits. Roundings and flooring are straight-through in
the backward pass. State keys are the official ones of ShiftAddViT: `shift`, `sign`, `bias`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from edgevision.ops.shift_code import ShiftCode
from edgevision.ops.shift_torch import floored

__all__ = ["ShiftLinear"]


def _through(x: Tensor, rounded: Tensor) -> Tensor:
    """`rounded`, with the gradient of `x`."""
    return x + (rounded - x).detach() if torch.is_grad_enabled() and x.requires_grad else rounded


class ShiftLinear(nn.Module):
    """[..., K] -> [..., N], with weights of `bits` bits (`edgevision.ops.shift_code`, form `ps`)."""

    def __init__(self, features_in: int, features_out: int, *, bias: bool = True, bits: int = 5) -> None:
        super().__init__()
        self.least = ShiftCode(form="ps", bits=bits).least_exponent
        self.shift = nn.Parameter(torch.empty(features_out, features_in))
        self.sign = nn.Parameter(torch.empty(features_out, features_in))
        self.bias = nn.Parameter(torch.empty(features_out)) if bias else None
        nn.init.uniform_(self.shift, self.least, 0)
        nn.init.uniform_(self.sign, -1, 1)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -1 / math.sqrt(features_in), 1 / math.sqrt(features_in))

    @torch.no_grad()
    def take(self, dense: nn.Linear) -> None:
        """Start from a dense layer: the nearest power of two of every weight."""
        magnitude = dense.weight.abs()
        self.shift.copy_(torch.log2(magnitude).round().clamp(self.least, 0))
        self.sign.copy_(dense.weight.sign())
        if self.bias is not None and dense.bias is not None:
            self.bias.copy_(dense.bias)

    @property
    def weight(self) -> Tensor:
        """[N, K], every entry 0 or a signed power of two."""
        shift = _through(self.shift, self.shift.clamp(self.least, 0).round())
        sign = _through(self.sign, self.sign.round().sign())
        return torch.exp2(shift) * sign

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else _through(self.bias, floored(self.bias))
        return nn.functional.linear(_through(x, floored(x)), self.weight, bias)
