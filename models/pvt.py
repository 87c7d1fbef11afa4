"""Pyramid Vision Transformer (arXiv 2102.12122) with ShiftAddViT's attention by addition and mixture of primitives.

Patches do not overlap, positions are learnt, and a class token joins in the last stage. With `mixture`, the projections of
the attention and the feed-forward parts are mixtures: in the latter a whole multiplying MLP beside a whole shifting one.
State keys and shapes are those of ShiftAddViT's own code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgevision.models.angular_attention import LinearAngularAttention
from edgevision.models.primitive_mixture import Mixture, set_dispatch
from edgevision.models.pvt_v2 import projection_of
from edgevision.models.shift_linear import ShiftLinear
from edgevision.models.softmax_attention import AttentionKV
from edgevision.models.stochastic_depth import DropPath, drop_rates
from edgevision.models.tokens import as_map

__all__ = ["Config", "PyramidVisionTransformer", "build"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """One PVT; tuples have one entry per stage.

    Attributes:
        image_size: side of the images that the learnt positions are for; they are resized for others.
        embed_dims: channels.
        heads: attention heads.
        mlp_ratios: hidden channels of the feed-forward part over the stage's.
        depths: blocks.
        mixture: linear layers but the head and the last stage's attention become mixtures of primitives.
        dispatch: mixtures send each token to its own expert only, instead of computing both and picking.
        drop_path: stochastic depth of the last block.
    """

    in_chans: int
    num_classes: int
    image_size: int
    embed_dims: tuple[int, ...]
    heads: tuple[int, ...]
    mlp_ratios: tuple[int, ...]
    depths: tuple[int, ...]
    mixture: bool
    dispatch: bool
    drop_path: float


def build(config: Config, *, deploy: bool = False) -> PyramidVisionTransformer:
    """The network of `config`, which has one form only."""
    del deploy
    model = PyramidVisionTransformer(config)
    set_dispatch(model, config.dispatch)
    return model


class FeedForward(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, channels: int, hidden: int, linear: Callable[[int, int], nn.Module] = nn.Linear) -> None:
        super().__init__()
        self.fc1 = linear(channels, hidden)
        self.fc2 = linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return y


class Block(nn.Module):
    """Attention and feed-forward part, each behind a norm and beside a shortcut."""

    def __init__(self, config: Config, stage: int, rate: float) -> None:
        super().__init__()
        dim, heads, hidden = config.embed_dims[stage], config.heads[stage], config.mlp_ratios[stage]
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        last = stage == len(config.depths) - 1
        self.attn = (
            AttentionKV(dim, heads) if last else LinearAngularAttention(dim, heads, projection_of(config.mixture))
        )
        self.drop_path = DropPath(rate)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        multiply = FeedForward(dim, dim * hidden)
        self.mlp = Mixture(dim, multiply, FeedForward(dim, dim * hidden, ShiftLinear)) if config.mixture else multiply

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        normed = self.norm1(x)
        attended = self.attn(normed, size) if isinstance(self.attn, AttentionKV) else self.attn(normed)
        x = x + self.drop_path(attended)
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """[B, C, H, W] -> tokens [B, L, C'] and the size of their map."""

    def __init__(self, channels_in: int, channels_out: int, side: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels_in, channels_out, side, side)
        self.norm = nn.LayerNorm(channels_out)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        x = self.proj(x)
        return self.norm(x.flatten(2).transpose(1, 2)), (x.shape[2], x.shape[3])


def resized(position: Tensor, side: int, size: tuple[int, int]) -> Tensor:
    """Positions [1, side², C] for a map of `size`, bilinearly."""
    if size == (side, side):
        return position
    maps = as_map(position, (side, side))
    return F.interpolate(maps, size=size, mode="bilinear").flatten(2).transpose(1, 2)


class PyramidVisionTransformer(nn.Module):
    """[B, in_chans, H, W] -> logits [B, num_classes], or the class token for 0 classes."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.stages, self.sides = (
            len(config.depths),
            [config.image_size // 4 // 2**i for i in range(len(config.depths))],
        )
        rates = drop_rates(config.drop_path, config.depths)
        before = config.in_chans
        for i, dim in enumerate(config.embed_dims):
            tokens = self.sides[i] ** 2 + (i == self.stages - 1)
            self.add_module(f"patch_embed{i + 1}", PatchEmbed(before, dim, 4 if i == 0 else 2))
            self.register_parameter(f"pos_embed{i + 1}", nn.Parameter(torch.zeros(1, tokens, dim)))
            self.add_module(f"block{i + 1}", nn.ModuleList(Block(config, i, rate) for rate in rates[i]))
            before = dim
        self.norm = nn.LayerNorm(before, eps=1e-6)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, before))
        self.head = nn.Linear(before, config.num_classes) if config.num_classes else nn.Identity()
        for name, parameter in self.named_parameters():
            if name.startswith(("pos_embed", "cls_token")):
                nn.init.trunc_normal_(parameter, std=0.02)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        for i in range(1, self.stages + 1):
            tokens, size = self.get_submodule(f"patch_embed{i}")(x)
            position = self.get_parameter(f"pos_embed{i}")
            if i < self.stages:
                tokens = tokens + resized(position, self.sides[i - 1], size)
            else:
                maps = tokens + resized(position[:, 1:], self.sides[i - 1], size)
                first = (self.cls_token + position[:, :1]).expand(maps.shape[0], -1, -1)
                tokens = torch.cat([first, maps], 1)
            for block in self.get_submodule(f"block{i}").children():
                tokens = block(tokens, size)
            if i < self.stages:
                x = as_map(tokens, size)
        y: Tensor = self.head(self.norm(tokens)[:, 0])
        return y


def initialise(module: nn.Module) -> None:
    """As upstream: linear layers truncated normal, their biases zero."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
