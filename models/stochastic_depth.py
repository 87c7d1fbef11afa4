"""Stochastic depth (Huang et al., arXiv 1603.09382): in training, a residual branch is left out per sample."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["DropPath", "drop_rates"]


class DropPath(nn.Module):
    """In train mode, zeroes a sample with probability `rate` and scales the kept ones by 1 / (1 - rate)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """`x` itself in eval mode or at rate 0."""
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        mask = torch.empty((x.shape[0],) + (1,) * (x.ndim - 1), device=x.device, dtype=x.dtype).bernoulli_(keep)
        return x * (mask / keep)


def drop_rates(last: float, depths: tuple[int, ...]) -> list[list[float]]:
    """Rates per block and stage, rising linearly from 0 at the first block to `last` at the last one."""
    total = sum(depths)
    rates = iter([last * i / max(total - 1, 1) for i in range(total)])
    return [[next(rates) for _ in range(depth)] for depth in depths]
