"""Visual Attention Network (Guo et al., arXiv 2202.09741): attention as a product with a decomposed large kernel.

    attention(x) = x * W (K7,dilated by 3 * (K5 * x))

State keys and shapes are the official ones. The zero padding between the two depthwise convolutions is part of the
network, so they are not one 23x23 convolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgevision.models.channel_norm import ChannelLayerNorm
from edgevision.models.stochastic_depth import DropPath, drop_rates

__all__ = ["Config", "VisualAttentionNetwork", "build"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """One VAN; tuples have one entry per stage.

    Attributes:
        embed_dims: channels.
        mlp_ratios: hidden channels of the feed-forward part over the stage's.
        depths: blocks.
        drop: dropout in the feed-forward part.
        drop_path: stochastic depth of the last block.
    """

    in_chans: int
    num_classes: int
    embed_dims: tuple[int, ...]
    mlp_ratios: tuple[int, ...]
    depths: tuple[int, ...]
    drop: float
    drop_path: float


def build(config: Config, *, deploy: bool = False) -> VisualAttentionNetwork:
    """The network of `config`, which has one form only."""
    del deploy
    return VisualAttentionNetwork(config)


class LargeKernelAttention(nn.Module):
    """[B, C, H, W] times a gate that sees 23 x 23 of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.conv_spatial = nn.Conv2d(channels, channels, 7, padding=9, groups=channels, dilation=3)
        self.conv1 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv1(self.conv_spatial(self.conv0(x)))


class Attention(nn.Module):
    """The gate between two 1x1 convolutions, and a shortcut around the three."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(channels, channels, 1)
        self.spatial_gating_unit = LargeKernelAttention(channels)
        self.proj_2 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.proj_2(self.spatial_gating_unit(F.gelu(self.proj_1(x))))


class DepthwiseConv(nn.Module):
    """Only a level of the official key names: `mlp.dwconv.dwconv`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.dwconv(x)


class FeedForward(nn.Module):
    """1x1 convolution, depthwise 3x3, GELU, 1x1 convolution."""

    def __init__(self, channels: int, hidden: int, drop: float) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.dwconv = DepthwiseConv(hidden)
        self.fc2 = nn.Conv2d(hidden, channels, 1)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.fc2(self.drop(F.gelu(self.dwconv(self.fc1(x))))))


class Block(nn.Module):
    """Two residual branches, each with a batch norm before and a layer scale after."""

    def __init__(self, channels: int, mlp_ratio: int, config: Config, drop_path: float) -> None:
        super().__init__()
        self.layer_scale_1 = nn.Parameter(torch.full((channels,), 1e-2))
        self.layer_scale_2 = nn.Parameter(torch.full((channels,), 1e-2))
        self.norm1 = nn.BatchNorm2d(channels)
        self.attn = Attention(channels)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.BatchNorm2d(channels)
        self.mlp = FeedForward(channels, channels * mlp_ratio, config.drop)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.layer_scale_1[:, None, None] * self.attn(self.norm1(x)))
        return x + self.drop_path(self.layer_scale_2[:, None, None] * self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """Overlapping patches: a strided convolution and a batch norm."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x))


class VisualAttentionNetwork(nn.Module):
    """[B, in_chans, H, W] -> logits [B, num_classes], or the pooled features for 0 classes."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.stages = len(config.depths)
        rates = drop_rates(config.drop_path, config.depths)
        before = config.in_chans
        for i, (channels, ratio) in enumerate(zip(config.embed_dims, config.mlp_ratios, strict=True)):
            kernel, stride = (7, 4) if i == 0 else (3, 2)
            blocks = [Block(channels, ratio, config, rate) for rate in rates[i]]
            self.add_module(f"patch_embed{i + 1}", PatchEmbed(before, channels, kernel, stride))
            self.add_module(f"block{i + 1}", nn.Sequential(*blocks))
            self.add_module(f"norm{i + 1}", ChannelLayerNorm(channels, eps=1e-6))
            before = channels
        self.head = nn.Linear(before, config.num_classes) if config.num_classes else nn.Identity()
        self.apply(initialise)

    def features(self, x: Tensor) -> list[Tensor]:
        """The normalised maps after each stage, at strides 4, 8, 16 and 32."""
        maps = []
        for i in range(1, self.stages + 1):
            for part in ("patch_embed", "block", "norm"):
                x = self.get_submodule(f"{part}{i}")(x)
            maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)[-1].mean((2, 3)))


def initialise(module: nn.Module) -> None:
    """As upstream: convolutions normal by their fan out, linear layers truncated normal, biases zero."""
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2.0 / fan_out))
    elif isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
    if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
        nn.init.zeros_(module.bias)
