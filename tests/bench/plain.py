"""MobileMamba as one would export it by hand: plain PyTorch, the scan a loop over time, flips, grouped convolutions.

This is the published reference implementation's arithmetic (the path it takes without a CUDA kernel), written on the
modules of `edgevision.models`, so that both have the same weights.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgevision.models.wavelet_scan import BidirectionalScan, WaveletMixer

__all__ = ["PlainScan", "plain_model", "sequential_scan"]


def sequential_scan(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """y of the selective scan, one step after the other. u, dt [Bt, KD, L]; A [KD, N]; B, C [Bt, K, N, L]; D [KD]."""
    batch, rows, length = u.shape
    groups = B.shape[1]
    B, C = (t.repeat_interleave(rows // groups, 1) for t in (B, C))
    decay = torch.exp(torch.einsum("bdl,dn->bdln", dt, A))
    drive = torch.einsum("bdl,bdnl,bdl->bdln", dt, B, u)
    state = u.new_zeros(batch, rows, A.shape[1])
    steps = []
    for t in range(length):
        state = decay[:, :, t] * state + drive[:, :, t]
        steps.append(torch.einsum("bdn,bdn->bd", state, C[:, :, :, t]))
    return torch.stack(steps, dim=2) + u * D[:, None]


class PlainScan(BidirectionalScan):
    """Both directions as two groups of one scan over a sequence and its flip."""

    recurrence = staticmethod(sequential_scan)

    def _scan(self, u: Tensor) -> Tensor:
        K, N, R = self.directions, self.states, self.rank
        batch, inner, length = u.shape
        both = torch.stack([u, u.flip(2)], dim=1)
        rows = torch.einsum("bkdl,kcd->bkcl", both, self.x_proj_weight)
        dt, B, C = rows.split([R, N, N], 2)
        dt = torch.einsum("bkrl,kdr->bkdl", dt, self.dt_projs_weight)
        y = self.recurrence(
            both.reshape(batch, K * inner, length),
            F.softplus(dt.reshape(batch, K * inner, length) + self.dt_projs_bias.reshape(-1, 1)),
            -torch.exp(self.A_logs),
            B,
            C,
            self.Ds,
        ).reshape(batch, K, inner, length)
        return y[:, 0] + y[:, 1].flip(2)


class PlainMixer(WaveletMixer):
    """The wavelet transform as strided grouped convolutions."""

    def _wavelet(self, x: Tensor) -> Tensor:
        channels, (height, width) = x.shape[1], x.shape[2:]
        padded = F.pad(x, (0, width % 2, 0, height % 2))
        bands = F.conv2d(padded, self.wt_filter, stride=2, groups=channels)
        mixed = self.wavelet_scale[0](self.wavelet_convs[0](bands))
        full = F.conv_transpose2d(mixed, self.iwt_filter, stride=2, groups=channels)
        return full[:, :, :height, :width]


def plain_model(model: nn.Module) -> nn.Module:
    """A copy of `model` with its custom operators written out."""
    plain = copy.deepcopy(model).eval()
    forms = {BidirectionalScan: PlainScan, WaveletMixer: PlainMixer}
    for module in plain.modules():
        if type(module) in forms:
            module.__class__ = forms[type(module)]
    return plain
