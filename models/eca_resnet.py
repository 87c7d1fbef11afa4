"""ECA-Net on ResNet (Wang et al., CVPR 2020, arXiv 1910.03151): residual blocks with efficient channel attention.

State keys and shapes are the official ones. The kernels of the attention differ by stage and by network: the cards
have those of the released weights, `k_size` sets others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from edgevision.models.channel_attention import ChannelAttention

__all__ = ["Config", "EcaResNet", "build"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """One ECA-ResNet; tuples have one entry per stage.

    Attributes:
        depths: blocks.
        bottleneck: whether blocks are 1x1, 3x3, 1x1 with four times the width outside, or twice 3x3.
        k_size: kernels of the channel attention.
    """

    in_chans: int
    num_classes: int
    depths: tuple[int, ...]
    bottleneck: bool
    k_size: tuple[int, ...]


def build(config: Config, *, deploy: bool = False) -> EcaResNet:
    """The network of `config`, which has one form only."""
    del deploy
    return EcaResNet(config)


class Block(nn.Module):
    """Convolutions `conv1`, `conv2`, … each with its norm, channel attention, and a shortcut."""

    def __init__(self, channels_in: int, width: int, stride: int, k_size: int, *, bottleneck: bool) -> None:
        super().__init__()
        channels = 4 * width if bottleneck else width
        shapes = [(width, 3, stride), (width, 3, 1)]
        if bottleneck:
            shapes = [(width, 1, 1), (width, 3, stride), (channels, 1, 1)]
        before = channels_in
        for i, (out, kernel, step) in enumerate(shapes, 1):
            self.add_module(f"conv{i}", nn.Conv2d(before, out, kernel, step, kernel // 2, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(out))
            before = out
        self.convs = len(shapes)
        self.eca = ChannelAttention(k_size)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != channels:
            projection = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for i in range(1, self.convs + 1):
            y = self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(y))
            y = F.relu(y) if i < self.convs else y
        return F.relu(self.eca(y) + (x if self.downsample is None else self.downsample(x)))


class EcaResNet(nn.Module):
    """[B, in_chans, H, W] -> logits [B, num_classes], or the pooled features for 0 classes."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(config.in_chans, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.stages = len(config.depths)
        before = 64
        for stage, (depth, k_size) in enumerate(zip(config.depths, config.k_size, strict=True)):
            width = 64 * 2**stage
            blocks = []
            for i in range(depth):
                stride = 2 if stage and i == 0 else 1
                blocks.append(Block(before, width, stride, k_size, bottleneck=config.bottleneck))
                before = 4 * width if config.bottleneck else width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(before, config.num_classes) if config.num_classes else nn.Identity()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                nn.init.normal_(module.weight, std=math.sqrt(2.0 / fan_out))

    def features(self, x: Tensor) -> list[Tensor]:
        """The maps after each stage, at strides 4, 8, 16 and 32."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        maps = []
        for stage in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{stage}")(x)
            maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x)[-1].mean((2, 3)))
