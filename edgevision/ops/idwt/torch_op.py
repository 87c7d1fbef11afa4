"""One level of a 2-d inverse DWT as a torch custom op: a grouped transposed convolution of stride 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv_transpose2d, pad

from edgevision.errors import GraphError
from edgevision.ops.dwt.torch_op import per_channel, summed_like
from edgevision.ops.wavelet import check, synthesis

__all__ = ["idwt"]


def _indices(size: int, wrap: int, device: torch.device) -> Tensor:
    return torch.arange(-wrap, size + wrap, device=device) % size


def _continued(x: Tensor, wrap: int) -> Tensor:
    """[Bt, C, 4, h, w] -> [Bt, 4C, h + 2 wrap, w + 2 wrap], periodically."""
    flat = x.flatten(1, 2)
    if not wrap:
        return flat
    for axis in (2, 3):
        flat = flat.index_select(axis, _indices(flat.shape[axis], wrap, x.device))
    return flat


def _continued_back(g: Tensor, like: Tensor, wrap: int) -> Tensor:
    """The transpose of `_continued`."""
    if wrap:
        for axis, size in ((2, like.shape[3]), (3, like.shape[4])):
            shape = list(g.shape)
            shape[axis] = size
            g = g.new_zeros(shape).index_add(axis, _indices(size, wrap, g.device), g)
    return g.reshape(like.shape)


def _check(x: Tensor, filters: Tensor, mode: str, crop: Sequence[int]) -> None:
    check("idwt", x.dim(), 5, tuple(filters.shape), x.shape[1], mode)
    if x.shape[2] != 4:
        raise GraphError("idwt", f"x has {x.shape[2]} sub-bands, not 4", "give [Bt, C, 4, h, w]")
    if len(crop) != 2 or min(crop) < 0:
        raise GraphError("idwt", f"crop is {tuple(crop)}", "give [bottom, right], neither negative")


@torch.library.custom_op(
    "edgevision::idwt",
    mutates_args=(),
    schema='(Tensor x, Tensor filters, *, str mode="zero", int[] crop=[0, 0]) -> Tensor',
)
def _idwt(x: Tensor, filters: Tensor, *, mode: str = "zero", crop: Sequence[int] = (0, 0)) -> Tensor:
    _check(x, filters, mode, crop)
    C, k = x.shape[1], filters.shape[-1]
    border = synthesis(x.shape[3], k, mode)
    y = conv_transpose2d(_continued(x, border.wrap), per_channel(filters, C), stride=2, padding=border.pad, groups=C)
    return y[:, :, : y.shape[2] - crop[0], : y.shape[3] - crop[1]].contiguous()


@_idwt.register_fake
def _(x: Tensor, filters: Tensor, *, mode: str = "zero", crop: Sequence[int] = (0, 0)) -> Tensor:
    _check(x, filters, mode, crop)
    rows, columns = (synthesis(x.shape[axis], filters.shape[-1], mode).size for axis in (3, 4))
    return x.new_empty(x.shape[0], x.shape[1], rows - crop[0], columns - crop[1])


def _remember(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, Any], output: Tensor) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs)
    ctx.mode, ctx.crop = keyword_only_inputs["mode"], keyword_only_inputs["crop"]


def _backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor]:
    x, filters = ctx.saved_tensors
    C, k = x.shape[1], filters.shape[-1]
    border = synthesis(x.shape[3], k, ctx.mode)
    dwide, dweight, _ = torch.ops.aten.convolution_backward(
        pad(dy, [0, ctx.crop[1], 0, ctx.crop[0]]),
        _continued(x, border.wrap),
        per_channel(filters, C),
        None,
        [2, 2],
        [border.pad, border.pad],
        [1, 1],
        True,
        [0, 0],
        C,
        [True, True, False],
    )
    return _continued_back(dwide, x, border.wrap), summed_like(dweight, filters)


_idwt.register_autograd(_backward, setup_context=_remember)


def idwt(x: Tensor, filters: Tensor, *, mode: str = "zero", crop: Sequence[int] = (0, 0)) -> Tensor:
    """y[c, 2i - lead + m, 2j - lead + n] += x[c, s, i, j] filters[s, m, n]: the transpose of `dwt`.

    Args:
        x: [Bt, C, 4, h, w], sub-bands in the order of the filters.
        filters: [4C, 1, k, k] per channel or [4, 1, k, k] shared, k even: a transposed convolution's weight.
        mode: `zero` or `periodization`, as in PyWavelets' `idwt2`.
        crop: rows dropped at the bottom and columns dropped at the right, so that odd sizes come back.

    Returns:
        [Bt, C, H, W] with H = 2h - k + 2 - crop[0] for `zero`, 2h - crop[0] for `periodization`.
    """
    result: Tensor = torch.ops.edgevision.idwt.default(x, filters, mode=mode, crop=list(crop))
    return result
