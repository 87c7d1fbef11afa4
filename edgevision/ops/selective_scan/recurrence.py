"""The first-order linear recurrence h_t = a_t h_{t-1} + x_t over the first axis, in two levels.

L = M·r: the M blocks take their r steps side by side from zero; the carries between blocks take M steps; then every
block is corrected by its carry times the running product of a. About 2·sqrt(L) wide operations instead of L narrow
ones, and only products of decays are formed, never quotients or differences, so strong decay stays exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["recurrence"]

#: Above this width one step keeps a core busy, and the second pass over the data costs more than the calls it saves.
_WIDE = 16384


def recurrence(a: Tensor, x: Tensor) -> Tensor:
    """All h, of shape [L, ...] with h_{-1} = 0; `a` and `x` have the same shape."""
    L = a.shape[0]
    if L < 16 or a[0].numel() > _WIDE:
        return _steps(a, x)
    r = max(4, round(L**0.5 / 2))
    M = -(-L // r)
    if M * r != L:
        tail = [0] * (2 * (a.dim() - 1)) + [0, M * r - L]
        a, x = torch.nn.functional.pad(a, tail), torch.nn.functional.pad(x, tail)
    a, x = a.reshape(M, r, *a.shape[1:]), x.reshape(M, r, *x.shape[1:])
    h, decay = torch.empty_like(x), torch.empty_like(a)
    h[:, 0], decay[:, 0] = x[:, 0], a[:, 0]
    for i in range(1, r):
        torch.addcmul(x[:, i], a[:, i], h[:, i - 1], out=h[:, i])
        torch.mul(a[:, i], decay[:, i - 1], out=decay[:, i])
    carry = _steps(decay[:-1, -1], h[:-1, -1])
    h[1:].addcmul_(decay[1:], carry.unsqueeze(1))
    return h.reshape(M * r, *h.shape[2:])[:L]


def _steps(a: Tensor, x: Tensor) -> Tensor:
    h = torch.empty_like(x)
    if x.shape[0]:
        h[0] = x[0]
    for t in range(1, x.shape[0]):
        torch.addcmul(x[t], a[t], h[t - 1], out=h[t])
    return h
