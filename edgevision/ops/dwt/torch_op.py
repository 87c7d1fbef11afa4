"""One level of a 2-d DWT as a torch custom op: a grouped convolution of stride 2 over the continued image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from edgevision.ops.wavelet import analysis, check

__all__ = ["dwt", "per_channel", "summed_like"]


def per_channel(filters: Tensor, channels: int) -> Tensor:
    """[4C, 1, k, k] whether the four filters are shared by the channels or not."""
    return filters if filters.shape[0] == 4 * channels else filters.repeat(channels, 1, 1, 1)


def summed_like(gradient: Tensor, filters: Tensor) -> Tensor:
    """The transpose of `per_channel`."""
    return gradient if gradient.shape == filters.shape else gradient.reshape(-1, *filters.shape).sum(0)


def _sources(size: int, k: int, device: torch.device) -> Tensor:
    """Index of the sample behind each place of a periodically continued axis; an odd one repeats its last sample."""
    border = analysis(size, k, "periodization")
    even = 2 * border.size
    places = torch.arange(-border.before, size + border.after, device=device) % even
    return places.clamp(max=size - 1)


def _continued(x: Tensor, k: int, mode: str) -> Tensor:
    if mode == "zero":
        rows, columns = analysis(x.shape[2], k, mode), analysis(x.shape[3], k, mode)
        return pad(x, [columns.before, columns.after, rows.before, rows.after])
    for axis in (2, 3):
        x = x.index_select(axis, _sources(x.shape[axis], k, x.device))
    return x


def _continued_back(g: Tensor, like: Tensor, k: int, mode: str) -> Tensor:
    """The transpose of `_continued`."""
    H, W = like.shape[2:]
    if mode == "zero":
        return g[:, :, k - 2 : k - 2 + H, k - 2 : k - 2 + W]
    for axis, size in ((2, H), (3, W)):
        shape = list(g.shape)
        shape[axis] = size
        g = g.new_zeros(shape).index_add(axis, _sources(size, k, g.device), g)
    return g


@torch.library.custom_op(
    "edgevision::dwt", mutates_args=(), schema='(Tensor x, Tensor filters, *, str mode="zero") -> Tensor'
)
def _dwt(x: Tensor, filters: Tensor, *, mode: str = "zero") -> Tensor:
    check("dwt", x.dim(), 4, tuple(filters.shape), x.shape[1], mode)
    C = x.shape[1]
    wide = _continued(x, filters.shape[-1], mode)
    y = torch.nn.functional.conv2d(wide, per_channel(filters, C), stride=2, groups=C)
    return y.reshape(y.shape[0], C, 4, *y.shape[2:]).contiguous()


@_dwt.register_fake
def _(x: Tensor, filters: Tensor, *, mode: str = "zero") -> Tensor:
    check("dwt", x.dim(), 4, tuple(filters.shape), x.shape[1], mode)
    rows, columns = (analysis(x.shape[axis], filters.shape[-1], mode).size for axis in (2, 3))
    return x.new_empty(x.shape[0], x.shape[1], 4, rows, columns)


def _remember(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, Any], output: Tensor) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs)
    ctx.mode = keyword_only_inputs["mode"]


def _backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor]:
    x, filters = ctx.saved_tensors
    C, k = x.shape[1], filters.shape[-1]
    dwide, dweight, _ = torch.ops.aten.convolution_backward(
        dy.flatten(1, 2),
        _continued(x, k, ctx.mode),
        per_channel(filters, C),
        None,
        [2, 2],
        [0, 0],
        [1, 1],
        False,
        [0, 0],
        C,
        [True, True, False],
    )
    return _continued_back(dwide, x, k, ctx.mode), summed_like(dweight, filters)


_dwt.register_autograd(_backward, setup_context=_remember)


def dwt(x: Tensor, filters: Tensor, *, mode: str = "zero") -> Tensor:
    """y[c, s, i, j] = sum_{m,n} x[c, 2i - lead + m, 2j - lead + n] filters[s, m, n].

    Args:
        x: [Bt, C, H, W].
        filters: [4C, 1, k, k] per channel or [4, 1, k, k] shared, k even, in correlation orientation.
        mode: `zero` (lead = k-2) or `periodization` (lead = k/2-1), as in PyWavelets' `dwt2`.

    Returns:
        [Bt, C, 4, H', W'] in the order of the filters; H' = (H+k-1)//2 for `zero`, ceil(H/2) for `periodization`.
    """
    result: Tensor = torch.ops.edgevision.dwt.default(x, filters, mode=mode)
    return result
