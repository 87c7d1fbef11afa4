"""Pyramid Vision Transformer v2 (arXiv 2106.13797), with ShiftAddViT's attention by addition and mixture of primitives.

Three forms, by the config: `sra`, PVT v2 as published; `linangular`, attention over hash codes in all stages but the last;
and with `mixture` every linear layer of those blocks is a mixture of a multiplying and a shifting one. State keys and
shapes are those of ShiftAddViT's own code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from edgevision.models.angular_attention import LinearAngularAttention
from edgevision.models.primitive_mixture import Mixture, set_dispatch
from edgevision.models.shift_linear import ShiftLinear
from edgevision.models.softmax_attention import AttentionKV, AttentionQKV, ReducedAttention
from edgevision.models.stochastic_depth import DropPath, drop_rates
from edgevision.models.tokens import as_map

__all__ = ["Config", "PyramidVisionTransformerV2", "build", "initialise", "mixed", "projection_of"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """One PVT v2; tuples have one entry per stage.

    Attributes:
        embed_dims: channels.
        heads: attention heads.
        mlp_ratios: hidden channels of the feed-forward part over the stage's.
        depths: blocks.
        reductions: how many times smaller the keys' and values' map is each way, in form `sra`.
        attention: `sra` or `linangular`.
        mixture: every linear layer but the head and the last stage's attention becomes a mixture of primitives.
        dispatch: mixtures send each token to its own expert only, instead of computing both and picking.
        drop_path: stochastic depth of the last block.
    """

    in_chans: int
    num_classes: int
    embed_dims: tuple[int, ...]
    heads: tuple[int, ...]
    mlp_ratios: tuple[int, ...]
    depths: tuple[int, ...]
    reductions: tuple[int, ...]
    attention: str
    mixture: bool
    dispatch: bool
    drop_path: float


def build(config: Config, *, deploy: bool = False) -> PyramidVisionTransformerV2:
    """The network of `config`, which has one form only."""
    del deploy
    model = PyramidVisionTransformerV2(config)
    set_dispatch(model, config.dispatch)
    return model


def mixed(features_in: int, features_out: int) -> Mixture:
    """A mixture of two linear layers."""
    return Mixture(features_in, nn.Linear(features_in, features_out), ShiftLinear(features_in, features_out))


def projection_of(mixture: bool) -> Callable[[int, int], nn.Module]:
    """What makes a block's linear layers."""
    return mixed if mixture else nn.Linear


class DepthwiseConv(nn.Module):
    """3x3 over tokens laid out as a map; only a level of the official key names: `mlp.dwconv.dwconv`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        return self.dwconv(as_map(x, size)).flatten(2).transpose(1, 2)


class FeedForward(nn.Module):
    """Linear, depthwise 3x3, GELU, linear."""

    def __init__(self, channels: int, hidden: int, projection: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.fc1 = projection(channels, hidden)
        self.dwconv = DepthwiseConv(hidden)
        self.fc2 = projection(hidden, channels)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        y: Tensor = self.fc2(F.gelu(self.dwconv(self.fc1(x), size)))
        return y


class Block(nn.Module):
    """Attention and feed-forward part, each behind a norm and beside a shortcut."""

    def __init__(self, config: Config, stage: int, rate: float) -> None:
        super().__init__()
        dim = config.embed_dims[stage]
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = _attention(config, stage)
        self.drop_path = DropPath(rate)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = FeedForward(dim, dim * config.mlp_ratios[stage], projection_of(config.mixture))

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        normed = self.norm1(x)
        attended = self.attn(normed, size) if isinstance(self.attn, AttentionKV) else self.attn(normed)
        x = x + self.drop_path(attended)
        return x + self.drop_path(self.mlp(self.norm2(x), size))


def _attention(config: Config, stage: int) -> nn.Module:
    dim, heads, reduction = config.embed_dims[stage], config.heads[stage], config.reductions[stage]
    if config.attention == "sra":
        return ReducedAttention(dim, heads, reduction) if reduction > 1 else AttentionKV(dim, heads)
    if stage == len(config.depths) - 1:
        return AttentionQKV(dim, heads)
    return LinearAngularAttention(dim, heads, projection_of(config.mixture))


class OverlapPatchEmbed(nn.Module):
    """[B, C, H, W] -> tokens [B, L, C'] and the size of their map: a strided convolution and a norm."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2)
        self.norm = nn.LayerNorm(channels_out)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        x = self.proj(x)
        return self.norm(x.flatten(2).transpose(1, 2)), (x.shape[2], x.shape[3])


class PyramidVisionTransformerV2(nn.Module):
    """[B, in_chans, H, W] -> logits [B, num_classes], or the mean token for 0 classes."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.stages = len(config.depths)
        rates = drop_rates(config.drop_path, config.depths)
        before = config.in_chans
        for i, dim in enumerate(config.embed_dims):
            kernel, stride = (7, 4) if i == 0 else (3, 2)
            self.add_module(f"patch_embed{i + 1}", OverlapPatchEmbed(before, dim, kernel, stride))
            self.add_module(f"block{i + 1}", nn.ModuleList(Block(config, i, rate) for rate in rates[i]))
            self.add_module(f"norm{i + 1}", nn.LayerNorm(dim, eps=1e-6))
            before = dim
        self.head = nn.Linear(before, config.num_classes) if config.num_classes else nn.Identity()
        self.apply(initialise)

    def features(self, x: Tensor) -> list[Tensor]:
        """The normalised maps after each stage, at strides 4, 8, 16 and 32."""
        maps: list[Tensor] = []
        for i in range(1, self.stages + 1):
            tokens, size = self.get_submodule(f"patch_embed{i}")(maps[-1] if maps else x)
            for block in self.get_submodule(f"block{i}").children():
                tokens = block(tokens, size)
            maps.append(as_map(self.get_submodule(f"norm{i}")(tokens), size))
        return maps

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.features(x)[-1].flatten(2).mean(2))
        return y


def initialise(module: nn.Module) -> None:
    """As upstream: convolutions normal by their fan out, linear layers truncated normal, biases zero."""
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2.0 / fan_out))
    elif isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
    if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
        nn.init.zeros_(module.bias)
