"""Squeeze-and-excitation (Hu et al., arXiv 1709.01507): channels scaled by a gate computed from their means."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgevision.models.pointwise_linear import PointwiseLinear

__all__ = ["LinearSqueezeExcite", "SqueezeExcite"]


class SqueezeExcite(nn.Module):
    """x * sigmoid(up(relu(down(mean_HW x)))), two 1x1 convolutions with bias; `names` are their keys, down first."""

    def __init__(self, channels: int, reduced: int, *, names: tuple[str, str]) -> None:
        super().__init__()
        self.names = names
        self.add_module(names[0], nn.Conv2d(channels, reduced, 1))
        self.add_module(names[1], nn.Conv2d(reduced, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        down, up = (self.get_submodule(name) for name in self.names)
        return x * torch.sigmoid(up(F.relu(down(x.mean((2, 3), keepdim=True)))))


class LinearSqueezeExcite(nn.Module):
    """x * sigmoid(W2 relu(W1 mean_HW x)), linear layers without bias under the keys `fc.0` and `fc.2`."""

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        down, up = PointwiseLinear(channels, reduced, bias=False), PointwiseLinear(reduced, channels, bias=False)
        self.fc = nn.Sequential(down, nn.ReLU(), up, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc(x.mean((2, 3), keepdim=True))
