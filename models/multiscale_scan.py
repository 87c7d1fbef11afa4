"""The two scans of Multi-Scale VMamba (Shi et al., arXiv 2405.14174), as both of its generations have them.

At full resolution one row-major scan; at half resolution one scan over three walks laid end to end, so that the state
carries over from each to the next: backwards along the rows, forwards along the columns, backwards along the columns.
Steps and projections depend on the position alone, so they are computed once for the map and then put in walking
order, and every walk is one gather with a constant index.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgevision.ops.selective_scan import selective_scan

__all__ = ["MultiScaleScan", "merge_walks"]


class MultiScaleScan(nn.Module):
    """The parameters of two scans over `inner` channels with one state each, and the scans themselves.

    Set k: (dt, B, C) = x_proj[k] u, delta = softplus(dt_projs[k] dt + bias[k]), A = -exp(A_logs),
    h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t, y_t = C_t h_t + D u_t.
    """

    sets = 2
    states = 1

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        K, N = self.sets, self.states
        self.inner = inner
        self.rank = math.ceil(channels / 16)
        rows = torch.empty(K, self.rank + 2 * N, inner).uniform_(-(inner**-0.5), inner**-0.5)
        self.x_proj_weight = nn.Parameter(rows)
        steps = torch.empty(K, inner, self.rank).uniform_(-(self.rank**-0.5), self.rank**-0.5)
        self.dt_projs_weight = nn.Parameter(steps)
        self.dt_projs_bias = nn.Parameter(step_bias(K, inner))
        self.A_logs = nn.Parameter(torch.zeros(K * inner, N))
        self.Ds = nn.Parameter(torch.ones(K * inner))

    def scan_rows(self, x: Tensor, index: int) -> Tensor:
        """Scan [B, D, H, W] row by row with parameter set `index`: [B, D, H W]."""
        u = x.flatten(2)
        return self._scan(u, *self._projected(u, index), index)

    def scan_walks(self, x: Tensor, index: int) -> Tensor:
        """Scan [B, D, H, W] along the three walks with parameter set `index`: [B, D, 3 H W], in walking order."""
        u = x.flatten(2)
        order = torch.tensor(walk_order(x.shape[2], x.shape[3]), device=x.device)
        delta, B, C = (t.index_select(2, order) for t in self._projected(u, index))
        return self._scan(u.index_select(2, order), delta, B, C, index)

    def _projected(self, u: Tensor, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """What u [B, D, L] makes of itself: delta before bias and softplus [B, D, L], B and C [B, N, L]."""
        N = self.states
        projected = F.conv1d(u, self.x_proj_weight[index].unsqueeze(2))
        dt, B, C = torch.split(projected, [self.rank, N, N], 1)
        return F.conv1d(dt, self.dt_projs_weight[index].unsqueeze(2)), B, C

    def _scan(self, u: Tensor, delta: Tensor, B: Tensor, C: Tensor, index: int) -> Tensor:
        own = slice(index * self.inner, (index + 1) * self.inner)
        return selective_scan(
            u,
            delta,
            -self.A_logs[own].exp(),
            B.unsqueeze(1),
            C.unsqueeze(1),
            self.Ds[own],
            self.dt_projs_bias[index],
            delta_softplus=True,
        )


def step_bias(sets: int, inner: int) -> Tensor:
    """Biases whose softplus is log-uniform in [0.001, 0.1], as Mamba starts."""
    steps = torch.exp(torch.rand(sets, inner) * math.log(100) + math.log(1e-3)).clamp(min=1e-4)
    return steps + torch.log(-torch.expm1(-steps))


def merge_walks(y: Tensor, height: int, width: int) -> Tensor:
    """Put the three walks of [B, D, 3 H W] back onto the map and sum them: [B, D, H, W]."""
    order = torch.tensor(map_order(height, width), device=y.device)
    return torch.unflatten(y.index_select(2, order), 2, (3, height, width)).sum(2)


@cache
def walk_order(height: int, width: int) -> list[int]:
    """Row-major positions of a map in the order in which the three walks meet them."""
    rows = list(range(height * width))
    columns = [row * width + column for column in range(width) for row in range(height)]
    return rows[::-1] + columns + columns[::-1]


@cache
def map_order(height: int, width: int) -> list[int]:
    """Where each walk meets the positions of a map: row-major positions of the first walk, the second, the third."""
    size, met = height * width, walk_order(height, width)
    order = [0] * (3 * size)
    for step, position in enumerate(met):
        order[step // size * size + position] = step
    return order
