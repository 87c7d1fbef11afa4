"""Layer norm over the channels of a channels-first tensor, as ConvNeXt has it (Liu et al., arXiv 2201.03545)."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["ChannelLayerNorm"]


class ChannelLayerNorm(nn.LayerNorm):
    """Normalises [B, C, ...] over C at every position."""

    def forward(self, x: Tensor) -> Tensor:
        last = x.ndim - 1  # -1 would reach the TorchScript exporter as it is, and ONNX knows no negative permutation
        return super().forward(x.movedim(1, last)).movedim(last, 1)
