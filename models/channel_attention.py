"""Efficient channel attention (Wang et al., arXiv 1910.03151): a gate per channel from a convolution over the means."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["ChannelAttention"]


class ChannelAttention(nn.Module):
    """x * sigmoid(conv1d over channels of mean_HW x), `kernel` channels wide."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel, padding=(kernel - 1) // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.conv(x.mean((2, 3)).unsqueeze(1)))
        return x * gate.view(-1, x.shape[1], 1, 1)
