"""Multi-Scale VMamba (Shi et al., NeurIPS 2024, arXiv 2405.14174), first generation: nano, micro, tiny.

State keys and shapes are the official ones. Here parameter set 0 is that of the half resolution and set 1 that of the
full one, each scan is normalised before the walks are put back onto the map, and the small map is resized bilinearly.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgevision.models.channel_norm import ChannelLayerNorm
from edgevision.models.conv_feed_forward import ConvFeedForward
from edgevision.models.multiscale_scan import MultiScaleScan, merge_walks
from edgevision.models.pointwise_linear import PointwiseLinear
from edgevision.models.squeeze_excite import LinearSqueezeExcite
from edgevision.models.stochastic_depth import DropPath, drop_rates

__all__ = ["Config", "MSVMamba", "build"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """One MSVMamba of the first generation.

    Attributes:
        embed_dim: channels of the first stage; they double from stage to stage.
        depths: blocks of each stage.
        ssm_ratio: channels of the scan over those of the stage.
        ffn_ratio: hidden channels of the feed-forward part over those of the stage.
        drop_path: stochastic depth of the last block.
    """

    in_chans: int
    num_classes: int
    embed_dim: int
    depths: tuple[int, ...]
    ssm_ratio: float
    ffn_ratio: int
    drop_path: float


def build(config: Config, *, deploy: bool = False) -> MSVMamba:
    """The network of `config`, which has one form only."""
    del deploy
    return MSVMamba(config)


class Mixer(MultiScaleScan):
    """Both scans, squeeze-and-excitation, and a gate: [B, C, H, W] -> the same shape."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__(channels, inner)
        self.out_norm = ChannelLayerNorm(inner)
        self.se = LinearSqueezeExcite(inner, inner // 8)
        self.in_proj = PointwiseLinear(channels, 2 * inner, bias=False)
        self.conv2d = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.conv2d_b1 = nn.Conv2d(inner, inner, 7, 2, 3, groups=inner)
        self.out_proj = PointwiseLinear(inner, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x, z = self.in_proj(x).chunk(2, 1)
        full, half = F.silu(self.conv2d(x)), F.silu(self.conv2d_b1(x))
        rows = self.out_norm(self.scan_rows(full, 1)).view_as(full)
        walks = merge_walks(self.out_norm(self.scan_walks(half, 0)), half.shape[2], half.shape[3])
        y = rows + F.interpolate(walks, size=full.shape[2:], mode="bilinear", align_corners=False)
        return self.out_proj(self.se(y) * F.silu(z))


class Block(nn.Module):
    """Mixer and feed-forward part, both residual, with the norms before them."""

    def __init__(self, channels: int, config: Config, drop: float) -> None:
        super().__init__()
        self.norm = ChannelLayerNorm(channels)
        self.op = Mixer(channels, int(config.ssm_ratio * channels))
        self.drop_path = DropPath(drop)
        self.convFFN = ConvFeedForward(channels, config.ffn_ratio)
        self.norm2 = ChannelLayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.op(self.norm(x)))
        return x + self.drop_path(self.convFFN(self.norm2(x)))


class PatchMerging(nn.Module):
    """Halves the resolution: the pixels of every 2x2 (down, then right) side by side, normalised and projected."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduction = PointwiseLinear(4 * channels, 2 * channels, bias=False)
        self.norm = ChannelLayerNorm(4 * channels)

    def forward(self, x: Tensor) -> Tensor:
        odd_rows, odd_columns = x.shape[2] % 2, x.shape[3] % 2
        if odd_rows or odd_columns:
            x = F.pad(x, (0, odd_columns, 0, odd_rows))
        corners = [x[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(corners, 1)))


class MSVMamba(nn.Module):
    """[B, in_chans, H, W] -> logits [B, num_classes], or the pooled features for 0 classes."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        channels = config.embed_dim
        # The identity keeps the place that upstream's transposition has in the keys.
        patches = nn.Conv2d(config.in_chans, channels, 4, 4)
        self.patch_embed = nn.Sequential(patches, nn.Identity(), ChannelLayerNorm(channels))
        self.layers = nn.Sequential()
        rates = drop_rates(config.drop_path, config.depths)
        for i, drops in enumerate(rates):
            blocks = nn.Sequential(*[Block(channels, config, drop) for drop in drops])
            last = i == len(rates) - 1
            downsample = nn.Identity() if last else PatchMerging(channels)
            self.layers.append(nn.Sequential(OrderedDict(blocks=blocks, downsample=downsample)))
            channels = channels if last else 2 * channels
        self.classifier = classifier(channels, config.num_classes)
        self.apply(initialise)

    def features(self, x: Tensor) -> list[Tensor]:
        """The maps after the blocks of each stage, at strides 4, 8, 16 and 32."""
        x = self.patch_embed(x)
        maps = []
        for layer in self.layers:
            maps.append(layer.get_submodule("blocks")(x))
            x = layer.get_submodule("downsample")(maps[-1])
        return maps

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x)[-1])


def classifier(channels: int, num_classes: int) -> nn.Sequential:
    """Norm at every position, mean, linear layer."""
    head = nn.Linear(channels, num_classes) if num_classes else nn.Identity()
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(OrderedDict(norm=ChannelLayerNorm(channels), avgpool=pool, flatten=nn.Flatten(1), head=head))


def initialise(module: nn.Module) -> None:
    """As upstream: linear layers truncated normal, their biases zero; convolutions as PyTorch has them."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
