"""Softmax attention, alone or over keys and values of a shrunken map (PVT's spatial reduction)."""

from __future__ import annotations

from torch import Tensor, nn

from edgevision.models.tokens import as_map, split_heads

__all__ = ["AttentionKV", "AttentionQKV", "ReducedAttention", "attend"]


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(C)) v for [B, heads, L, C], as [B, L, heads·C]."""
    weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)


class AttentionQKV(nn.Module):
    """[B, L, C] -> [B, L, C], one projection for queries, keys and values."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, -1))
        y: Tensor = self.proj(attend(q, k, v))
        return y


class AttentionKV(nn.Module):
    """[B, L, C] -> [B, L, C], queries apart from keys and values."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)

    def reduced(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """The tokens that keys and values are taken from."""
        del size
        return x

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        k, v = (split_heads(part, self.heads) for part in self.kv(self.reduced(x, size)).chunk(2, -1))
        y: Tensor = self.proj(attend(split_heads(self.q(x), self.heads), k, v))
        return y


class ReducedAttention(AttentionKV):
    """Keys and values from a map that a strided convolution has made `reduction` times smaller each way."""

    def __init__(self, dim: int, heads: int, reduction: int) -> None:
        super().__init__(dim, heads)
        self.sr = nn.Conv2d(dim, dim, reduction, reduction)
        self.norm = nn.LayerNorm(dim)

    def reduced(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        maps = self.sr(as_map(x, size))
        y: Tensor = self.norm(maps.flatten(2).transpose(1, 2))
        return y
