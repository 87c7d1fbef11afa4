"""The global mixer of MobileMamba: a bidirectional state-space model beside a convolution in the wavelet domain.

    y = base_scale * SSM(x) + IDWT(scale * dwconv(DWT(x)))

The transform is Haar's. The state-space model has one state per channel and scans the row-major sequence from both
ends; one projection serves both directions, because projecting a flipped sequence is flipping the projected one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgevision.models.channel_norm import ChannelLayerNorm
from edgevision.models.conv_norm import conv_norm
from edgevision.ops.dwt import dwt
from edgevision.ops.idwt import idwt
from edgevision.ops.selective_scan import selective_scan

__all__ = ["BidirectionalScan", "WaveletMixer"]


class BidirectionalScan(nn.Module):
    """The state-space mixer over [B, C, H, W], both directions of the row-major sequence summed.

    Per direction k: (dt, B, C) = x_proj[k] u, delta = softplus(dt_projs[k] dt + bias[k]), A = -exp(A_logs),
    h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t, y_t = C_t h_t + D u_t.
    """

    directions = 2
    states = 1

    def __init__(self, channels: int, inner: int, *, deploy: bool) -> None:
        super().__init__()
        K, N = self.directions, self.states
        self.inner = inner
        self.rank = -(-channels // 16)
        rows = torch.empty(K, self.rank + 2 * N, inner).uniform_(-(inner**-0.5), inner**-0.5)
        self.x_proj_weight = nn.Parameter(rows)
        self.Ds = nn.Parameter(torch.ones(K * inner))
        self.A_logs = nn.Parameter(torch.zeros(K * inner, N))
        self.dt_projs_weight = nn.Parameter(0.1 * torch.rand(K, inner, self.rank))
        self.dt_projs_bias = nn.Parameter(0.1 * torch.rand(K, inner))
        self.out_norm = ChannelLayerNorm(inner)
        self.in_proj = conv_norm(channels, 2 * inner, deploy=deploy)
        self.conv2d = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.out_proj = conv_norm(inner, channels, deploy=deploy)

    def forward(self, x: Tensor) -> Tensor:
        x, z = self.in_proj(x).chunk(2, 1)
        u = F.silu(self.conv2d(x))
        y = self.out_norm(self._scan(u.flatten(2))).view_as(u)
        return self.out_proj(y * F.silu(z))

    def _scan(self, u: Tensor) -> Tensor:
        """[B, D, L] -> the two scans of it, summed, [B, D, L]."""
        K, N, R = self.directions, self.states, self.rank
        dt, B, C = torch.split(F.conv1d(u, self._projection()), [K * R, K * N, K * N], 1)
        y = selective_scan(
            u,
            F.conv1d(dt, self.dt_projs_weight.flatten(0, 1).unsqueeze(2), groups=K),
            -self.A_logs.exp(),
            torch.unflatten(B, 1, (K, N)),
            torch.unflatten(C, 1, (K, N)),
            self.Ds,
            self.dt_projs_bias.flatten(),
            delta_softplus=True,
            reverse=(0, 1),
        )
        return torch.unflatten(y, 1, (K, self.inner)).sum(1)

    def _projection(self) -> Tensor:
        """`x_proj_weight` as one 1x1 convolution whose output is dt | B | C, each with the directions side by side.

        An expression of parameters alone, so that an exported graph holds it as one constant.
        """
        dt, B, C = torch.split(self.x_proj_weight, [self.rank, self.states, self.states], 1)
        return torch.cat([part.flatten(0, 1) for part in (dt, B, C)]).unsqueeze(2)


class ChannelScale(nn.Module):
    """One factor per channel."""

    def __init__(self, channels: int, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, channels, 1, 1), value))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x


def haar_filters(channels: int) -> Tensor:
    """Haar's four filters for every channel, [4 * channels, 1, 2, 2]: LL, high over rows, high over columns, HH."""
    low = torch.full((2,), 2**-0.5)
    high = low * torch.tensor([1.0, -1.0])
    pairs = [(low, low), (high, low), (low, high), (high, high)]
    return torch.stack([torch.outer(rows, columns) for rows, columns in pairs]).unsqueeze(1).repeat(channels, 1, 1, 1)


class WaveletMixer(nn.Module):
    """The global part: the scan plus a depthwise convolution in the wavelet domain."""

    def __init__(self, channels: int, kernel: int, ssm_ratio: float, *, deploy: bool) -> None:
        super().__init__()
        bands = 4 * channels
        self.wt_filter = nn.Parameter(haar_filters(channels), requires_grad=False)
        self.iwt_filter = nn.Parameter(haar_filters(channels), requires_grad=False)
        self.global_atten = BidirectionalScan(channels, int(ssm_ratio * channels), deploy=deploy)
        self.base_scale = ChannelScale(channels, 1.0)
        self.wavelet_convs = nn.ModuleList(
            [nn.Conv2d(bands, bands, kernel, padding=kernel // 2, groups=bands, bias=False)]
        )
        self.wavelet_scale = nn.ModuleList([ChannelScale(bands, 0.1)])

    def forward(self, x: Tensor) -> Tensor:
        return self.base_scale(self.global_atten(x)) + self._wavelet(x)

    def _wavelet(self, x: Tensor) -> Tensor:
        bands = dwt(x, self.wt_filter)
        mixed = self.wavelet_scale[0](self.wavelet_convs[0](bands.flatten(1, 2)))
        crop = (x.shape[2] % 2, x.shape[3] % 2)
        return idwt(mixed.view_as(bands), self.iwt_filter, crop=crop)
