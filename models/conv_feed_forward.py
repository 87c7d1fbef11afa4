"""A feed-forward part that looks at its neighbours: W2 gelu(h + depthwise3x3(h)), h = W1 x."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ConvFeedForward"]


class ConvFeedForward(nn.Module):
    """[B, C, H, W] -> the same shape, `expansion` times as wide inside."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.linear1 = nn.Conv2d(channels, hidden, 1)
        self.linear2 = nn.Conv2d(hidden, channels, 1)
        self.dwc = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)

    def forward(self, x: Tensor) -> Tensor:
        h = self.linear1(x)
        return self.linear2(F.gelu(h + self.dwc(h)))
