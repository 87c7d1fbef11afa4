"""Layer norm over the channels of a channels-first tensor, as ConvNeXt has it (Liu et al., arXiv 2201.03545)."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["ChannelLayerNorm"]


class ChannelLayerNorm(nn.LayerNorm):
    """Normalises [B, C, ...] over C at every position."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)
