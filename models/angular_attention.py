"""Attention by addition: attention over binary hash codes (ShiftAddViT, arXiv 2306.06446).

    h = hash(qk / |qk|) in {0, 1}^16

    linear-angular    o = v / 2 + h (h^T v) / pi;    y = o / |o| + conv9(v)    along the tokens, one filter a head
    hash              y = (s (s^T v) + 17 sum v) / (s (s^T 1) + 17 L),    s = 2 h - 1

With binary codes both products are sums and differences of rows of v. The second form follows EcoFormer (arXiv 2209.09004): a mean of
v, in which a token counts 1 to 33 times, the more the more bits it shares. Queries and keys are one projection. The code is
kernel-based supervised hashing's: k = exp(-|x - anchor|² / 2 sigma) - mean over 25 anchors, sigma the mean distance of the
tokens of a sample and head, h = (A k > 0). Anchors and A are buffers, fitted before training and fixed in it
(`edgevision.shiftadd.hash_fit`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from edgevision.models.tokens import split_heads

__all__ = [
    "ANCHORS",
    "BITS",
    "HashAttention",
    "HashedAttention",
    "KernelHash",
    "LinearAngularAttention",
    "QueryKeyHash",
]

BITS, ANCHORS = 16, 25

#: Makes a projection of so many features: a linear layer, or a mixture of two.
Projection = Callable[[int, int], nn.Module]


class KernelHash(nn.Module):
    """[B, heads, L, C] rows of length 1 -> codes of 0 and 1, [B, heads, L, 16]."""

    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__()
        self.register_buffer("A", torch.randn(heads, BITS, ANCHORS))
        self.register_buffer("mvec", torch.full((1, heads, 1, ANCHORS), math.exp(-0.5)))
        anchors = torch.randn(1, heads, ANCHORS, head_dim)
        self.register_buffer("anchor", anchors / anchors.norm(dim=-1, keepdim=True))

    def kernel(self, x: Tensor) -> Tensor:
        """exp(-|x - anchor|² / 2 sigma), [B, heads, L, 25]."""
        anchor = self.get_buffer("anchor")
        squares = x.square().sum(-1, keepdim=True) + anchor.square().sum(-1).unsqueeze(-2)
        distance = squares - 2 * (x @ anchor.transpose(-2, -1))
        sigma = distance.mean(-1, keepdim=True).mean(-2, keepdim=True)
        return torch.exp(distance / (-2 * sigma))

    def forward(self, x: Tensor) -> Tensor:
        y = (self.kernel(x) - self.get_buffer("mvec")) @ self.get_buffer("A").transpose(-2, -1)
        code = (y > 0).to(y.dtype)
        if not (torch.is_grad_enabled() and y.requires_grad):
            return code
        inside = y.clamp(0, 1)  # straight through, where y is in (0, 1)
        return code + inside - inside.detach()


class QueryKeyHash(nn.Module):
    """Only a level of the official key names, with a projection that upstream stores and never uses."""

    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__()
        self.register_buffer("projection_matrix", torch.zeros(int(head_dim * math.log(head_dim)), head_dim))
        self.ksh = KernelHash(heads, head_dim)

    def forward(self, x: Tensor) -> Tensor:
        codes: Tensor = self.ksh(x)
        return codes


class HashedAttention(nn.Module, ABC):
    """[B, L, C] -> [B, L, C], linear in L: what the two forms share."""

    def __init__(self, dim: int, heads: int, projection: Projection = nn.Linear) -> None:
        super().__init__()
        self.heads = heads
        self.qk_quant = QueryKeyHash(heads, dim // heads)
        self.to_qk = projection(dim, dim)
        self.to_v = projection(dim, dim)
        self.proj = projection(dim, dim)

    @abstractmethod
    def attend(self, code: Tensor, v: Tensor) -> Tensor:
        """Codes [B, heads, L, 16] and values [B, heads, L, C / heads] -> [B, heads, L, C / heads]."""

    def forward(self, x: Tensor) -> Tensor:
        qk, v = (split_heads(part(x), self.heads) for part in (self.to_qk, self.to_v))
        o = self.attend(self.qk_quant(qk / qk.norm(dim=-1, keepdim=True)), v)
        y: Tensor = self.proj(o.transpose(1, 2).flatten(2))
        return y


class LinearAngularAttention(HashedAttention):
    """The form `linear-angular`."""

    def __init__(self, dim: int, heads: int, projection: Projection = nn.Linear) -> None:
        super().__init__(dim, heads, projection)
        self.dconv = nn.Conv2d(heads, heads, (9, 1), padding=(4, 0), bias=False, groups=heads)

    def attend(self, code: Tensor, v: Tensor) -> Tensor:
        """As the head of this file says."""
        o = 0.5 * v + (1 / math.pi) * (code @ (code.transpose(-2, -1) @ v))
        y: Tensor = o / o.norm(dim=-1, keepdim=True) + self.dconv(v)
        return y


class HashAttention(HashedAttention):
    """The form `hash`."""

    def attend(self, code: Tensor, v: Tensor) -> Tensor:
        """As the head of this file says."""
        signs = 2 * code - 1
        keys, even = signs.transpose(-2, -1), BITS + 1
        whole = signs @ (keys @ v) + even * v.sum(-2, keepdim=True)
        weight = signs @ keys.sum(-1, keepdim=True) + even * v.shape[-2]
        return whole / weight
