"""AdaRound: each weight is rounded up or down as the layer's output wants it, not to the nearest.

    minimise    e G e^T    over    e in {floor(w / s), floor(w / s) + 1} - w / s    for each output channel

G = E[x x^T] over what the layer reads, so that this is the mean squared error of its output. The objective is that of M.
Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization" (ICML 2020), eq. 13; in place of their
gradient descent a column is decided for all output channels at once, each time where the objective is least given the
others: nearer to e_j - (e G)_j / G_jj. First, with nothing decided, columns behind the current one are taken as free: with
G = L L^T that is the same step with L for G, Babai's nearest plane ("On Lovász' lattice reduction and the nearest lattice
point problem", Combinatorica 1986), which GPTQ takes in another order and by the inverse (E. Frantar et al., ICLR 2023).
The largest inputs are decided first. Then sweeps with G itself, coordinate descent, until nothing changes.

Few images leave G short of its rank: LAMBDA times its mean diagonal is added to the diagonal. An output channel whose
result is not better than rounding to the nearest keeps the nearest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.quantize.parameters import Quantized

__all__ = ["adaround"]

Array = NDArray[Any]

LAMBDA = 0.03
_SWEEPS = 8
#: Columns that are decided before the others hear of it: a product of matrices then tells them.
_BLOCK = 64


def adaround(weight: Array, nearest: Quantized, moments: Array, largest: int) -> Quantized:
    """`nearest` with its values rounded so that the layer's output errs least.

    Args:
        weight: the exact weight, in its own layout.
        nearest: the same rounded to the nearest.
        moments: G [groups, K, K] of `second_moments`.
        largest: the largest quantized magnitude.
    """
    axis = nearest.axis % weight.ndim
    exact = _columns(weight / _along(nearest.scales.astype(np.float64), axis, weight.ndim), axis, len(moments))
    start = _columns(nearest.values, axis, len(moments))
    matrix = _damped(moments)
    order = np.argsort(np.einsum("gkk->gk", matrix), axis=1, kind="stable")  # the last one is decided first
    matrix = np.take_along_axis(np.take_along_axis(matrix, order[:, :, None], 1), order[:, None, :], 2)
    exact, start = (np.take_along_axis(a, order[:, :, None], 1) for a in (exact, start))
    low, high = (np.clip(np.floor(exact) + up, -largest, largest) - exact for up in (0, 1))
    found = _rounded(matrix, low.astype(np.float32), high.astype(np.float32))
    plain = (start - exact).astype(np.float32)
    better = _objective(found, matrix) < _objective(plain, matrix)
    values = np.round(np.where(better[:, None], found, plain) + exact)
    back = np.take_along_axis(values, np.argsort(order, axis=1)[:, :, None], 1)
    rows = back.swapaxes(1, 2).reshape(np.moveaxis(weight, axis, 0).shape)
    return Quantized(values=np.moveaxis(rows, 0, axis).astype(np.int8), scales=nearest.scales, axis=nearest.axis)


def _rounded(matrix: Array, low: Array, high: Array) -> Array:
    """Errors of the rounded weights, each `low` or `high`, [groups, K, out]."""
    errors = np.zeros_like(low)
    _sweep(errors, np.zeros_like(low), np.linalg.cholesky(matrix), low, high)
    gradient = matrix @ errors
    for _ in range(_SWEEPS):
        if not _sweep(errors, gradient, matrix, low, high):
            break
    return errors


def _sweep(errors: Array, gradient: Array, matrix: Array, low: Array, high: Array) -> bool:
    """Decide each column once, from the last to the first, in place; whether any changed.

    `gradient` is matrix^T errors, before and after.
    """
    middle, diagonal = (low + high) / 2, np.einsum("gkk->gk", matrix)[:, :, None]
    changed = False
    for end in range(errors.shape[1], 0, -_BLOCK):
        block = slice(max(0, end - _BLOCK), end)
        near, before, now = matrix[:, block, block], errors[:, block].copy(), errors[:, block]
        wanted = gradient[:, block] / diagonal[:, block]
        if np.array_equal(np.where(now - wanted > middle[:, block], high[:, block], low[:, block]), now):
            continue
        changed = True
        running = gradient[:, block].copy()
        for j in range(now.shape[1] - 1, -1, -1):
            column = block.start + j
            up = now[:, j] - running[:, j] / diagonal[:, column] > middle[:, column]
            chosen = np.where(up, high[:, column], low[:, column])
            step = chosen - now[:, j]
            if step.any():
                now[:, j] = chosen
                running += near[:, j, :, None] * step[:, None]
        gradient += matrix[:, block].swapaxes(1, 2) @ (now - before)
    return changed


def _objective(errors: Array, matrix: Array) -> Array:
    """Of each output channel, [groups, out]."""
    return np.asarray(((matrix @ errors) * errors).sum(axis=1))


def _damped(moments: Array) -> Array:
    """At unit mean diagonal, with LAMBDA added to it; what reads nothing but zeros has the identity."""
    power = np.einsum("gkk->gk", moments).mean(axis=1)
    matrix: Array = (moments / np.maximum(power, np.finfo(np.float32).tiny)[:, None, None]).astype(np.float32)
    np.einsum("gkk->gk", matrix)[...] += LAMBDA
    return matrix


def _columns(array: Array, axis: int, groups: int) -> Array:
    """[groups, K, out] of a weight."""
    rows = np.moveaxis(array, axis, 0)
    columns: Array = rows.reshape(groups, rows.shape[0] // groups, -1).swapaxes(1, 2)
    return columns.astype(np.float64)


def _along(scales: Array, axis: int, rank: int) -> Array:
    return scales.reshape([-1 if i == axis else 1 for i in range(rank)])
