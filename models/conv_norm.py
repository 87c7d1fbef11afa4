"""A bias-free convolution with its batch norm (keys `c` and `bn`), or, in deploy form, the one convolution they equal.

y = gamma (W * x - mean) / sqrt(var + eps) + beta = (s W) * x + (beta - s mean),   s = gamma / sqrt(var + eps)
"""

from __future__ import annotations

from torch import nn

__all__ = ["ConvNorm", "conv_norm"]


class ConvNorm(nn.Sequential):
    """Convolution `c`, then batch norm `bn` whose scale starts at `gamma`."""

    def __init__(self, conv: nn.Conv2d, *, gamma: float) -> None:
        super().__init__()
        self.add_module("c", conv)
        norm = nn.BatchNorm2d(conv.out_channels)
        nn.init.constant_(norm.weight, gamma)
        self.add_module("bn", norm)


def conv_norm(
    channels_in: int,
    channels_out: int,
    kernel: int = 1,
    *,
    stride: int = 1,
    groups: int = 1,
    gamma: float = 1.0,
    deploy: bool = False,
) -> nn.Module:
    """Convolution and batch norm, padded by kernel // 2; in deploy form a convolution with bias."""
    conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=deploy)
    return conv if deploy else ConvNorm(conv, gamma=gamma)
