"""MobileMamba (He et al., CVPR 2025, arXiv 2411.15941): convolutions around a wavelet-enhanced bidirectional scan.

A mixer splits its channels into global | local | identity; the global part is `edgevision.models.wavelet_scan`. State
keys and shapes are the official ones, of the network as trained and, with `deploy`, of the one whose batch norms are
merged (`fuse=True` there).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgevision.models.conv_norm import conv_norm
from edgevision.models.squeeze_excite import SqueezeExcite
from edgevision.models.stochastic_depth import DropPath, drop_rates
from edgevision.models.wavelet_scan import WaveletMixer

__all__ = ["Config", "MobileMamba", "build"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """One MobileMamba; tuples have one entry per stage.

    Attributes:
        embed_dim: channels.
        depth: blocks.
        global_ratio, local_ratio: shares of the channels that the scan and the local convolution get.
        kernels: size of the depthwise kernels in the mixer.
        ssm_ratio: channels of the scan over those of the global part.
        drop_path: stochastic depth of the last block.
        distillation: a second head; outputs are averaged in eval mode and returned as a pair in train mode.
    """

    in_chans: int
    num_classes: int
    embed_dim: tuple[int, ...]
    depth: tuple[int, ...]
    global_ratio: tuple[float, ...]
    local_ratio: tuple[float, ...]
    kernels: tuple[int, ...]
    ssm_ratio: float
    drop_path: float
    distillation: bool


def build(config: Config, *, deploy: bool = False) -> MobileMamba:
    """The network of `config`."""
    return MobileMamba(config, deploy=deploy)


class Residual(nn.Module):
    """x + m(x)."""

    def __init__(self, m: nn.Module) -> None:
        super().__init__()
        self.m = m

    def forward(self, x: Tensor) -> Tensor:
        return x + self.m(x)


class FeedForward(nn.Module):
    """Two 1x1 convolutions with a ReLU between, twice as wide inside; starts as zero."""

    def __init__(self, channels: int, *, deploy: bool) -> None:
        super().__init__()
        self.pw1 = conv_norm(channels, 2 * channels, deploy=deploy)
        self.pw2 = conv_norm(2 * channels, channels, gamma=0.0, deploy=deploy)

    def forward(self, x: Tensor) -> Tensor:
        return self.pw2(F.relu(self.pw1(x)))


def local_mixer(channels: int, kernel: int, *, deploy: bool) -> nn.Module:
    """The local part: depthwise convolution and norm, ReLU, a factor and a norm per channel."""
    depthwise = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=deploy)
    factor = nn.Conv2d(channels, channels, 1, groups=channels, bias=deploy)
    if deploy:
        return nn.Sequential(depthwise, nn.ReLU(), factor)
    mixer = nn.Sequential()
    mixer.add_module("dwconv3x3", depthwise)
    mixer.add_module("bn1", nn.BatchNorm2d(channels))
    mixer.add_module("relu", nn.ReLU())
    mixer.add_module("dwconv1x1", factor)
    mixer.add_module("bn2", nn.BatchNorm2d(channels))
    return mixer


def nearest_multiple_of_16(n: int) -> int:
    """The multiple of 16 nearest to n, the larger one for a remainder of 8."""
    return (n + 8) // 16 * 16


class Mixer(nn.Module):
    """Global | local | identity channels side by side, joined by a 1x1 convolution."""

    def __init__(self, channels: int, config: Config, stage: int, *, deploy: bool) -> None:
        super().__init__()
        wide = nearest_multiple_of_16(int(config.global_ratio[stage] * channels))
        near = min(int(config.local_ratio[stage] * channels), channels - wide)
        self.split = [wide, near, channels - wide - near]
        kernel = config.kernels[stage]
        self.local_op = local_mixer(near, kernel, deploy=deploy) if near else nn.Identity()
        self.global_op = WaveletMixer(wide, kernel, config.ssm_ratio, deploy=deploy) if wide else nn.Identity()
        self.proj = nn.Sequential(nn.ReLU(), conv_norm(channels, channels, gamma=0.0, deploy=deploy))

    def forward(self, x: Tensor) -> Tensor:
        wide, near, rest = torch.split(x, self.split, 1)
        return self.proj(torch.cat([self.global_op(wide), self.local_op(near), rest], 1))


class Window(nn.Module):
    """Only a level of the official key names: `mixer.m.attn`."""

    def __init__(self, attn: Mixer) -> None:
        super().__init__()
        self.attn = attn

    def forward(self, x: Tensor) -> Tensor:
        return self.attn(x)


class Block(nn.Module):
    """Five residual layers in a row, and one more skip around them all."""

    def __init__(self, channels: int, config: Config, stage: int, drop: float, *, deploy: bool) -> None:
        super().__init__()
        self.dw0 = Residual(conv_norm(channels, channels, 3, groups=channels, gamma=0.0, deploy=deploy))
        self.ffn0 = Residual(FeedForward(channels, deploy=deploy))
        self.mixer = Residual(Window(Mixer(channels, config, stage, deploy=deploy)))
        self.dw1 = Residual(conv_norm(channels, channels, 3, groups=channels, gamma=0.0, deploy=deploy))
        self.ffn1 = Residual(FeedForward(channels, deploy=deploy))
        self.drop_path = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.ffn1(self.dw1(self.mixer(self.ffn0(self.dw0(x))))))


class PatchMerging(nn.Module):
    """Halves the resolution: an inverted bottleneck, four times as wide inside, with squeeze-and-excitation."""

    def __init__(self, channels: int, channels_out: int, *, deploy: bool) -> None:
        super().__init__()
        hidden = 4 * channels
        self.conv1 = conv_norm(channels, hidden, deploy=deploy)
        self.conv2 = conv_norm(hidden, hidden, 3, stride=2, groups=hidden, deploy=deploy)
        self.se = SqueezeExcite(hidden, max(8, (channels + 4) // 8 * 8), names=("fc1", "fc2"))
        self.conv3 = conv_norm(hidden, channels_out, deploy=deploy)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(self.se(F.relu(self.conv2(F.relu(self.conv1(x))))))


def local_pair(channels: int, *, deploy: bool) -> nn.Sequential:
    """Depthwise convolution and feed-forward, both residual: what surrounds a patch merging."""
    return nn.Sequential(
        Residual(conv_norm(channels, channels, 3, groups=channels, deploy=deploy)),
        Residual(FeedForward(channels, deploy=deploy)),
    )


def classifier(channels: int, num_classes: int, *, deploy: bool) -> nn.Module:
    """Batch norm and linear layer (keys `bn`, `l`), one linear layer in deploy form, nothing for 0 classes."""
    if num_classes == 0:
        return nn.Identity()
    linear = nn.Linear(channels, num_classes)
    nn.init.trunc_normal_(linear.weight, std=0.02)
    nn.init.zeros_(linear.bias)
    if deploy:
        return linear
    head = nn.Sequential()
    head.add_module("bn", nn.BatchNorm1d(channels))
    head.add_module("l", linear)
    return head


class MobileMamba(nn.Module):
    """[B, in_chans, H, W], H and W from 64 up -> logits [B, num_classes], or a pair of them while distilling."""

    def __init__(self, config: Config, *, deploy: bool = False) -> None:
        super().__init__()
        first = config.embed_dim[0]
        widths = [config.in_chans, first // 8, first // 4, first // 2, first]
        stem: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            stem += [conv_norm(narrow, wide, 3, stride=2, deploy=deploy), nn.ReLU()]
        self.patch_embed = nn.Sequential(*stem[:-1])
        rates = drop_rates(config.drop_path, config.depth)
        for stage, channels in enumerate(config.embed_dim):
            layers: list[nn.Module] = []
            if stage:
                before = config.embed_dim[stage - 1]
                merging = PatchMerging(before, channels, deploy=deploy)
                layers += [local_pair(before, deploy=deploy), merging, local_pair(channels, deploy=deploy)]
            layers += [Block(channels, config, stage, rate, deploy=deploy) for rate in rates[stage]]
            self.add_module(f"blocks{stage + 1}", nn.Sequential(*layers))
        self.stages = len(config.embed_dim)
        self.distillation = config.distillation
        self.head = classifier(config.embed_dim[-1], config.num_classes, deploy=deploy)
        if config.distillation:
            self.head_dist = classifier(config.embed_dim[-1], config.num_classes, deploy=deploy)

    def features(self, x: Tensor) -> list[Tensor]:
        """The maps after each stage, at strides 16, 32 and 64."""
        x = self.patch_embed(x)
        maps = []
        for stage in range(self.stages):
            x = self.get_submodule(f"blocks{stage + 1}")(x)
            maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        pooled = self.features(x)[-1].mean((2, 3))
        if not self.distillation:
            return self.head(pooled)
        logits, distilled = self.head(pooled), self.head_dist(pooled)
        return (logits, distilled) if self.training else (logits + distilled) / 2
