"""A linear layer over the channels of a channels-first map, with the keys and shapes of `nn.Linear`."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["PointwiseLinear"]


class PointwiseLinear(nn.Linear):
    """[B, C, H, W] -> [B, C', H, W] as a 1x1 convolution, so that nothing is transposed."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight[:, :, None, None], self.bias)
