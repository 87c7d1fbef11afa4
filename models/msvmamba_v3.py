"""Multi-Scale VMamba (Shi et al., NeurIPS 2024, arXiv 2405.14174), the later generation: v3 tiny, small, base.

State keys and shapes are the official ones (branch v2 of the repository). Here parameter set 0 is that of the full
resolution and set 1 that of the half one, the walks are put back and summed before one norm, the small map is resized
to the nearest pixel, and the norm of the feed-forward part stands after it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from edgevision.models.channel_norm import ChannelLayerNorm
from edgevision.models.conv_feed_forward import ConvFeedForward
from edgevision.models.msvmamba import classifier, initialise
from edgevision.models.multiscale_scan import MultiScaleScan, merge_walks
from edgevision.models.pointwise_linear import PointwiseLinear
from edgevision.models.squeeze_excite import LinearSqueezeExcite
from edgevision.models.stochastic_depth import DropPath, drop_rates

__all__ = ["Config", "MSVMambaV3", "build"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """One MSVMamba v3.

    Attributes:
        embed_dim: channels of the first stage; they double from stage to stage.
        depths: blocks of each stage.
        ssm_ratio: channels of the scan over those of the stage.
        gate: whether half of the input projection gates the output of the scan.
        ffn_ratio: hidden channels of the feed-forward part over those of the stage.
        drop_path: stochastic depth of the last block.
    """

    in_chans: int
    num_classes: int
    embed_dim: int
    depths: tuple[int, ...]
    ssm_ratio: float
    gate: bool
    ffn_ratio: int
    drop_path: float


def build(config: Config, *, deploy: bool = False) -> MSVMambaV3:
    """The network of `config`, which has one form only."""
    del deploy
    return MSVMambaV3(config)


class Mixer(MultiScaleScan):
    """Both scans, squeeze-and-excitation, perhaps a gate: [B, C, H, W] -> the same shape."""

    def __init__(self, channels: int, inner: int, *, gate: bool) -> None:
        super().__init__(channels, inner)
        self.gate = gate
        self.out_norm = ChannelLayerNorm(inner)
        self.se = LinearSqueezeExcite(inner, inner // 8)
        self.conv2d_b1 = nn.Conv2d(inner, inner, 7, 2, 3, groups=inner)
        self.in_proj = PointwiseLinear(channels, 2 * inner if gate else inner, bias=False)
        self.conv2d = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.out_proj = PointwiseLinear(inner, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        projected = self.in_proj(x)
        if not self.gate:
            return self.out_proj(self._mixed(projected))
        x, z = projected.chunk(2, 1)
        return self.out_proj(self._mixed(x) * F.silu(z))

    def _mixed(self, x: Tensor) -> Tensor:
        full, half = F.silu(self.conv2d(x)), F.silu(self.conv2d_b1(x))
        rows = self.scan_rows(full, 0).view_as(full)
        walks = merge_walks(self.scan_walks(half, 1), half.shape[2], half.shape[3])
        return self.se(self.out_norm(rows + F.interpolate(walks, size=full.shape[2:], mode="nearest")))


class Block(nn.Module):
    """Mixer and feed-forward part, both residual; one norm before the first, one after the second."""

    def __init__(self, channels: int, config: Config, drop: float) -> None:
        super().__init__()
        self.norm = ChannelLayerNorm(channels)
        self.op = Mixer(channels, int(config.ssm_ratio * channels), gate=config.gate)
        self.drop_path = DropPath(drop)
        self.convFFN = ConvFeedForward(channels, config.ffn_ratio)
        self.norm2 = ChannelLayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.op(self.norm(x)))
        return x + self.drop_path(self.norm2(self.convFFN(x)))


def halving(channels_in: int, channels_out: int) -> list[nn.Module]:
    """3x3 convolution of stride 2 and norm; the identity keeps the place of a transposition in upstream's keys."""
    return [nn.Conv2d(channels_in, channels_out, 3, 2, 1), nn.Identity(), ChannelLayerNorm(channels_out)]


class MSVMambaV3(nn.Module):
    """[B, in_chans, H, W] -> logits [B, num_classes], or the pooled features for 0 classes."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        channels = config.embed_dim
        stem = [*halving(config.in_chans, channels // 2), nn.Identity(), nn.GELU(), *halving(channels // 2, channels)]
        self.patch_embed = nn.Sequential(*stem)
        self.layers = nn.Sequential()
        rates = drop_rates(config.drop_path, config.depths)
        for i, drops in enumerate(rates):
            blocks = nn.Sequential(*[Block(channels, config, drop) for drop in drops])
            downsample: nn.Module = nn.Identity()
            if i < len(rates) - 1:
                downsample = nn.Sequential(nn.Identity(), *halving(channels, 2 * channels))
                channels = 2 * channels
            self.layers.append(nn.Sequential(OrderedDict(blocks=blocks, downsample=downsample)))
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
