"""Upsampling, resizing and resampling of images, from the grids that MIL's documentation gives."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from edgevision.targets.coreml.evaluator.semantics import Arguments, computes, unknown

__all__: list[str] = []

Tensor = torch.Tensor


def _interpolated(x: Tensor, axis: int, grid: Tensor) -> Tensor:
    """`x` read along `axis` at real places `grid`, linearly."""
    size = x.shape[axis]
    grid = grid.clamp(0, size - 1)
    low = grid.floor().long()
    high = (low + 1).clamp_max(size - 1)
    shape = [-1 if a == axis % x.ndim else 1 for a in range(x.ndim)]
    weight = (grid - low).to(x.dtype).reshape(shape)
    return x.index_select(axis, low) * (1 - weight) + x.index_select(axis, high) * weight


def _grid(mode: str, size: int, output: int) -> Tensor:
    rows = torch.arange(output, dtype=torch.float64)
    if mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        if output == 1:
            return torch.tensor([(size - 1) / 2 if mode == "ALIGN_CORNERS" else 0.0], dtype=torch.float64)
        return rows * (size - 1) / (output - 1)
    if mode == "DEFAULT":
        return rows * (size - size / output) / (output - 1) if output > 1 else rows * 0
    if mode == "OFFSET_CORNERS":
        step = max(1, size - 1) / output
        return 0.5 * step + rows * step
    return (rows + 0.5) * size / output - 0.5  # UNALIGN_CORNERS


def _bilinear(x: Tensor, height: int, width: int, mode: str) -> Tensor:
    y = _interpolated(x, x.ndim - 2, _grid(mode, x.shape[-2], height))
    return _interpolated(y, x.ndim - 1, _grid(mode, x.shape[-1], width))


@computes("resize_bilinear")
def _resize_bilinear(op: Arguments) -> Tensor:
    height, width = op.integer("target_size_height", 1), op.integer("target_size_width", 1)
    return _bilinear(op.tensor("x"), height, width, op.text("sampling_mode", "DEFAULT"))


def _scaled(op: Arguments, x: Tensor) -> tuple[int, int]:
    return (
        int(op.number("scale_factor_height", 1) * x.shape[-2]),
        int(op.number("scale_factor_width", 1) * x.shape[-1]),
    )


@computes("upsample_bilinear")
def _upsample_bilinear(op: Arguments) -> Tensor:
    x = op.tensor("x")
    height, width = _scaled(op, x)
    if op.flag("align_corners", True):
        return _bilinear(x, height, width, "STRICT_ALIGN_CORNERS")
    return _bilinear(x, height, width, "UNALIGN_CORNERS" if op.flag("half_pixel_centers", True) else "DEFAULT")


def _nearest(x: Tensor, height: int, width: int) -> Tensor:
    for axis, output in ((x.ndim - 2, height), (x.ndim - 1, width)):
        x = x.index_select(axis, (torch.arange(output) * x.shape[axis]) // output)
    return x


@computes("upsample_nearest_neighbor")
def _upsample_nearest(op: Arguments) -> Tensor:
    return _nearest(op.tensor("x"), *_scaled(op, op.tensor("x")))


@computes("resize_nearest_neighbor")
def _resize_nearest(op: Arguments) -> Tensor:
    return _nearest(op.tensor("x"), op.integer("target_size_height", 1), op.integer("target_size_width", 1))


@computes("resample")
def _resample(op: Arguments) -> Tensor:
    x, grid, aligned = op.tensor("x"), op.tensor("coordinates").to(torch.float32), op.flag("align_corners", False)
    height, width = x.shape[-2:]
    size = torch.tensor([width, height], dtype=torch.float32)
    mode = op.text("coordinates_mode", "unnormalized")
    if mode == "normalized_zero_to_one":
        grid = grid * 2 - 1
    elif mode == "unnormalized":
        grid = 2 * grid / (size - 1) - 1 if aligned else (2 * grid + 1) / size - 1
    padding = op.text("padding_mode", "constant")
    # Mirrored paddings are what torch calls reflection, around the corner pixels or around their outer edges.
    if (padding == "reflection" and not aligned) or (padding == "symmetric" and aligned):
        raise unknown(op, f"{padding} padding with align_corners={aligned}")
    if padding == "constant" and op.number("padding_value", 0.0) != 0.0:
        raise unknown(op, "a padding value other than 0")
    named = {"constant": "zeros", "border": "border", "reflection": "reflection", "symmetric": "reflection"}[padding]
    return F.grid_sample(x, grid, op.text("sampling_mode", "bilinear"), named, align_corners=aligned)
