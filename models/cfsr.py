"""CFSR (Wu et al., arXiv 2401.05633): super-resolution by convolutions that stand in for attention.

    block(x) = y + s2 * EdgeFFN(y),   y = x + s1 * proj(K9 * gelu(W_a LN x) . W_v LN x)

The feed-forward part looks for edges: in training form its depthwise 3x3 convolution has three more beside it, of
fixed masks and learnt factors; in deploy form the four are one. Two of the masks are not the textbook ones (their first
row is shifted): they are what the released weights were trained with. State keys and shapes are the official ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgevision.models.channel_norm import ChannelLayerNorm

__all__ = ["CFSR", "MASKS", "Config", "build"]

MASKS: dict[str, tuple[tuple[float, ...], ...]] = {
    "sobel_x": ((0, 1, -1), (2, 0, -2), (1, 0, -1)),
    "sobel_y": ((1, 2, 1), (0, 0, 0), (-1, -2, -1)),
    "laplacian": ((1, 0, 0), (1, -4, 1), (0, 1, 0)),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """One CFSR.

    Attributes:
        embed_dim: channels throughout.
        depths: blocks of each group.
        dw_size: kernel of the depthwise convolution that stands in for attention.
        mlp_ratio: hidden channels of the feed-forward part over `embed_dim`.
        upscale: pixels out over pixels in, along each side.
        img_range: largest value of the images the inner layers see; 1 keeps them as they come.
        mean: per channel, taken off before and added after; zeros where their number is not `in_chans`.
    """

    in_chans: int
    embed_dim: int
    depths: tuple[int, ...]
    dw_size: int
    mlp_ratio: int
    upscale: int
    img_range: float
    mean: tuple[float, ...]


def build(config: Config, *, deploy: bool = False) -> CFSR:
    """The network of `config`."""
    return CFSR(config, deploy=deploy)


class EdgeFeedForward(nn.Module):
    """W2 (h + gelu(E h)), h = gelu(W1 LN x); E is `pos` plus, in training form, the masked convolutions."""

    def __init__(self, channels: int, hidden: int, *, deploy: bool) -> None:
        super().__init__()
        self.masks = () if deploy else tuple(MASKS)
        for name in self.masks:
            mask = torch.tensor(MASKS[name], dtype=torch.float32).repeat(hidden, 1, 1, 1)
            self.register_parameter(f"scale_{name}", nn.Parameter(1e-3 * torch.randn(hidden, 1, 1, 1)))
            self.register_parameter(f"{name}_bias", nn.Parameter(1e-3 * torch.randn(hidden)))
            self.register_parameter(f"mask_{name}", nn.Parameter(mask, requires_grad=False))
        self.norm = ChannelLayerNorm(channels, eps=1e-6)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.pos = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.gelu(self.fc1(self.norm(x)))
        edges = self.pos(h)
        for name in self.masks:
            weight = self.get_parameter(f"scale_{name}") * self.get_parameter(f"mask_{name}")
            bias = self.get_parameter(f"{name}_bias")
            edges = edges + F.conv2d(h, weight, bias, padding=1, groups=self.pos.groups)
        return self.fc2(h + F.gelu(edges))


class LargeKernelConv(nn.Module):
    """Only a level of the official key names: `a.2.lkb_reparam`."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.lkb_reparam = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.lkb_reparam(x)


class ConvModulation(nn.Module):
    """proj((K * gelu(W_a x)) . (W_v x)) of the normalised input."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.norm = ChannelLayerNorm(channels, eps=1e-6)
        self.a = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.GELU(), LargeKernelConv(channels, kernel))
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        return self.proj(self.a(x) * self.v(x))


class Block(nn.Module):
    """Modulation and feed-forward, each residual with a layer scale."""

    def __init__(self, config: Config, *, deploy: bool) -> None:
        super().__init__()
        channels = config.embed_dim
        self.layer_scale_1 = nn.Parameter(torch.full((channels,), 1e-6))
        self.layer_scale_2 = nn.Parameter(torch.full((channels,), 1e-6))
        self.attn = ConvModulation(channels, config.dw_size)
        self.mlp = EdgeFeedForward(channels, channels * config.mlp_ratio, deploy=deploy)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.layer_scale_1[:, None, None] * self.attn(x)
        return x + self.layer_scale_2[:, None, None] * self.mlp(x)


class Layer(nn.Module):
    """A group of blocks, then a residual 1x1 convolution."""

    def __init__(self, config: Config, depth: int, *, deploy: bool) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*[Block(config, deploy=deploy) for _ in range(depth)])
        self.conv = nn.Conv2d(config.embed_dim, config.embed_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(x)
        return self.conv(x) + x


class CFSR(nn.Module):
    """[B, in_chans, H, W] with values in [0, img_range] -> the same image, `upscale` times as large."""

    mean: Tensor

    def __init__(self, config: Config, *, deploy: bool = False) -> None:
        super().__init__()
        channels, out = config.embed_dim, config.in_chans * config.upscale**2
        mean = torch.tensor(config.mean) if len(config.mean) == config.in_chans else torch.zeros(config.in_chans)
        self.img_range = config.img_range
        self.register_buffer("mean", mean.view(1, -1, 1, 1), persistent=False)
        self.conv_first = nn.Conv2d(config.in_chans, channels, 3, padding=1)
        self.layers = nn.Sequential(*[Layer(config, depth, deploy=deploy) for depth in config.depths])
        self.norm = ChannelLayerNorm(channels, eps=1e-6)
        self.conv_after_body = nn.Conv2d(channels, channels, 3, padding=1)
        self.upsample = nn.Sequential(nn.Conv2d(channels, out, 3, padding=1), nn.PixelShuffle(config.upscale))

    def forward(self, x: Tensor) -> Tensor:
        shallow = self.conv_first((x - self.mean) * self.img_range)
        deep = self.conv_after_body(self.norm(self.layers(shallow))) + shallow
        return self.upsample(deep) / self.img_range + self.mean
