"""Rows of tokens as heads, and as the maps they came from."""

from __future__ import annotations

from torch import Tensor

__all__ = ["as_map", "split_heads"]


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, L, heads·C] -> [B, heads, L, C]."""
    return x.reshape(x.shape[0], x.shape[1], heads, x.shape[2] // heads).transpose(1, 2)


def as_map(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Row-major tokens [B, H·W, C] -> [B, C, H, W]."""
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], *size)
