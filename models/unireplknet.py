"""UniRepLKNet (Ding et al., CVPR 2024, arXiv 2311.15599; TPAMI 2025, arXiv 2410.08049): a large-kernel network.

State keys and shapes are the official ones, of the training form and of the deploy form, in which the dilated branches,
the batch norms, the layer scale and GRN's shift are merged away. The linear layers, which upstream applies to
channels-last tensors, are applied as 1x1 convolutions: the arithmetic is the same and no tensor is transposed. Any
input of 32 pixels a side or more will do; one channel and a spectrogram's shape too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, islice, pairwise

import torch
from torch import Tensor, nn

from edgevision.models.channel_norm import ChannelLayerNorm
from edgevision.models.dilated_reparam import DilatedReparamBlock
from edgevision.models.pointwise_linear import PointwiseLinear
from edgevision.models.squeeze_excite import SqueezeExcite
from edgevision.models.stochastic_depth import DropPath, drop_rates

__all__ = ["Config", "UniRepLKNet", "build"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """One UniRepLKNet; tuples have one entry per stage.

    Attributes:
        depths: blocks.
        dims: channels.
        kernels: sizes of the depthwise kernels, repeated along the stage's blocks.
        layer_scale: initial factor of each residual branch.
        drop_path: stochastic depth of the last block.
    """

    in_chans: int
    num_classes: int
    depths: tuple[int, ...]
    dims: tuple[int, ...]
    kernels: tuple[tuple[int, ...], ...]
    layer_scale: float
    drop_path: float


def build(config: Config, *, deploy: bool = False) -> UniRepLKNet:
    """The network of `config`."""
    return UniRepLKNet(config, deploy=deploy)


class GlobalResponseNorm(nn.Module):
    """GRN (Woo et al., arXiv 2301.00808): (gamma N + 1) x + beta, N = ||x||_HW over its mean; beta is merged away."""

    def __init__(self, channels: int, *, deploy: bool) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.beta = None if deploy else nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True)
        response = norm / (norm.mean(1, keepdim=True) + 1e-6)
        y = (self.gamma.view(1, -1, 1, 1) * response + 1) * x
        return y if self.beta is None else y + self.beta.view(1, -1, 1, 1)


def depthwise(channels: int, kernel: int, *, deploy: bool) -> nn.Module:
    """A plain depthwise convolution for kernels up to 5, with the dilated branches from 7 up."""
    if kernel >= 7:
        return DilatedReparamBlock(channels, kernel, deploy=deploy)
    return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=deploy)


class Block(nn.Module):
    """x + gamma * BN(W2 GRN(gelu(W1 SE(BN(depthwise(x))))))."""

    def __init__(self, channels: int, kernel: int, drop: float, layer_scale: float, *, deploy: bool) -> None:
        super().__init__()
        hidden = 4 * channels
        self.gamma = None if deploy else nn.Parameter(torch.full((channels,), layer_scale))
        self.dwconv = depthwise(channels, kernel, deploy=deploy)
        self.norm = nn.Identity() if deploy else nn.BatchNorm2d(channels)
        self.se = SqueezeExcite(channels, channels // 4, names=("down", "up"))
        # The identities keep the places that upstream's transpositions have in the keys.
        self.pwconv1 = nn.Sequential(nn.Identity(), PointwiseLinear(channels, hidden))
        self.act = nn.Sequential(nn.GELU(), GlobalResponseNorm(hidden, deploy=deploy))
        self.pwconv2 = nn.Sequential(PointwiseLinear(hidden, channels, bias=deploy), nn.Identity())
        if not deploy:
            self.pwconv2.append(nn.BatchNorm2d(channels))
        self.drop_path = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        y = self.se(self.norm(self.dwconv(x)))
        y = self.pwconv2(self.act(self.pwconv1(y)))
        if self.gamma is not None:
            y = self.gamma.view(1, -1, 1, 1) * y
        return x + self.drop_path(y)


def halving(channels_in: int, channels_out: int) -> list[nn.Module]:
    """A 3x3 convolution of stride 2 and a norm."""
    return [nn.Conv2d(channels_in, channels_out, 3, 2, 1), ChannelLayerNorm(channels_out, eps=1e-6)]


class UniRepLKNet(nn.Module):
    """[B, in_chans, H, W] -> logits [B, num_classes], or the pooled features for 0 classes."""

    def __init__(self, config: Config, *, deploy: bool = False) -> None:
        super().__init__()
        dims = config.dims
        stem = [*halving(config.in_chans, dims[0] // 2), nn.GELU(), *halving(dims[0] // 2, dims[0])]
        later = [halving(narrow, wide) for narrow, wide in pairwise(dims)]
        self.downsample_layers = nn.ModuleList([nn.Sequential(*layers) for layers in [stem, *later]])
        self.stages = nn.ModuleList()
        rates = drop_rates(config.drop_path, config.depths)
        for channels, kernels, drops in zip(dims, config.kernels, rates, strict=True):
            sizes = islice(cycle(kernels), len(drops))
            blocks = [
                Block(channels, kernel, drop, config.layer_scale, deploy=deploy)
                for kernel, drop in zip(sizes, drops, strict=True)
            ]
            self.stages.append(nn.Sequential(*blocks))
        self.norm = nn.LayerNorm(dims[-1], eps=1e-6)
        self.head = nn.Linear(dims[-1], config.num_classes) if config.num_classes else nn.Identity()
        self.apply(initialise)

    def features(self, x: Tensor) -> list[Tensor]:
        """The maps after each stage, at strides 4, 8, 16 and 32."""
        maps = []
        for downsample, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(downsample(x))
            maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.features(x)[-1].mean((2, 3))))


def initialise(module: nn.Module) -> None:
    """As upstream: weights of convolutions and linear layers truncated normal, biases zero."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
