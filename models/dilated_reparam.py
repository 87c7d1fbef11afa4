"""The dilated reparam block (Ding et al., arXiv 2311.15599): a large depthwise kernel, smaller dilated ones beside it.

    y = BN(K * x) + sum_i BN_i(k_i *_{r_i} x)

A k x k kernel at dilation r is a sparse one of r (k - 1) + 1, so all branches together are one K x K convolution with
bias; the deploy form is that convolution.
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["BRANCHES", "DilatedReparamBlock"]

#: Large kernel -> the branches beside it, as (kernel, dilation).
BRANCHES: dict[int, tuple[tuple[int, int], ...]] = {
    5: ((3, 1), (3, 2)),
    7: ((5, 1), (3, 2), (3, 3)),
    9: ((5, 1), (5, 2), (3, 3), (3, 4)),
    11: ((5, 1), (5, 2), (3, 3), (3, 4), (3, 5)),
    13: ((5, 1), (7, 2), (3, 3), (3, 4), (3, 5)),
    15: ((5, 1), (7, 2), (3, 3), (3, 5), (3, 7)),
    17: ((5, 1), (9, 2), (3, 4), (3, 5), (3, 7)),
}


class DilatedReparamBlock(nn.Module):
    """[B, C, H, W] -> the same shape; `kernel` is one of `BRANCHES`."""

    def __init__(self, channels: int, kernel: int, *, deploy: bool) -> None:
        super().__init__()
        self.lk_origin = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=deploy)
        self.branches: list[str] = []
        if deploy:
            return
        self.origin_bn = nn.BatchNorm2d(channels)
        for k, r in BRANCHES[kernel]:
            padding = r * (k - 1) // 2
            conv = nn.Conv2d(channels, channels, k, padding=padding, dilation=r, groups=channels, bias=False)
            self.add_module(f"dil_conv_k{k}_{r}", conv)
            self.add_module(f"dil_bn_k{k}_{r}", nn.BatchNorm2d(channels))
            self.branches.append(f"k{k}_{r}")

    def forward(self, x: Tensor) -> Tensor:
        if not self.branches:
            return self.lk_origin(x)
        y = self.origin_bn(self.lk_origin(x))
        for branch in self.branches:
            y = y + self.get_submodule(f"dil_bn_{branch}")(self.get_submodule(f"dil_conv_{branch}")(x))
        return y
