"""Convolutions, pools, normalizations, matrix products, resampling."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import torch
import torch.nn.functional as F

from edgevision.targets.coreml.evaluator.semantics import Arguments, computes

__all__: list[str] = []

Tensor = torch.Tensor


def _pads(op: Arguments, spatial: Sequence[int], extents: Sequence[int], strides: Sequence[int]) -> list[list[int]]:
    """(before, after) an axis, from `pad_type` and `pad`."""
    kind = op.text("pad_type", "valid")
    if kind == "custom":
        flat = op.ints("pad", [0] * (2 * len(spatial)))
        return [list(pair) for pair in zip(flat[::2], flat[1::2], strict=True)]
    if kind == "valid":
        return [[0, 0] for _ in spatial]
    result = []
    for size, extent, stride in zip(spatial, extents, strides, strict=True):
        total = max((ceil(size / stride) - 1) * stride + extent - size, 0)
        small, large = total // 2, total - total // 2
        result.append([small, large] if kind == "same" else [large, small])
    return result


def _padded(x: Tensor, pads: Sequence[Sequence[int]], value: float) -> Tensor:
    return F.pad(x, [amount for pair in reversed(pads) for amount in pair], value=value)


@computes("conv")
def _conv(op: Arguments) -> Tensor:
    x, weight = op.tensor("x"), op.tensor("weight")
    rank = x.ndim - 2
    strides, dilations = op.ints("strides", [1] * rank), op.ints("dilations", [1] * rank)
    extents = [(size - 1) * d + 1 for size, d in zip(weight.shape[2:], dilations, strict=True)]
    x = _padded(x, _pads(op, x.shape[2:], extents, strides), 0.0)
    function: Any = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    result: Tensor = function(x, weight, op.maybe("bias"), strides, 0, dilations, op.integer("groups", 1))
    return result


@computes("conv_transpose")
def _conv_transpose(op: Arguments) -> Tensor:
    x, weight = op.tensor("x"), op.tensor("weight")
    rank = x.ndim - 2
    strides, dilations = op.ints("strides", [1] * rank), op.ints("dilations", [1] * rank)
    function: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
    y: Tensor = function(x, weight, op.maybe("bias"), strides, 0, 0, op.integer("groups", 1), dilations)
    kind, shape = op.text("pad_type", "valid"), op.ints("output_shape", [])
    flat = op.ints("pad", [0] * (2 * rank)) if kind == "custom" else [0] * (2 * rank)
    for axis in range(rank):
        before, after = flat[2 * axis : 2 * axis + 2]
        if kind == "same":
            wanted = shape[2 + axis] if shape else x.shape[2 + axis] * strides[axis]
            before = (y.shape[2 + axis] - wanted) // 2
            after = y.shape[2 + axis] - wanted - before
        # With an output shape, the end is where that shape says.
        length = shape[2 + axis] if shape else y.shape[2 + axis] - before - after
        y = y.narrow(2 + axis, before, min(length, y.shape[2 + axis] - before))
    return y


def _pool_pads(op: Arguments, x: Tensor) -> tuple[list[int], list[int], list[list[int]], list[int]]:
    """Kernel, strides, pads and what ceil_mode reads beyond them."""
    kernel = op.ints("kernel_sizes")
    strides = op.ints("strides", [1] * len(kernel))
    pads = _pads(op, x.shape[2:], kernel, strides)
    overhang = [0] * len(kernel)
    if op.flag("ceil_mode", False):
        for axis, (size, k, s, (before, after)) in enumerate(zip(x.shape[2:], kernel, strides, pads, strict=True)):
            steps = ceil((size + before + after - k) / s)
            steps -= steps * s >= size + before
            overhang[axis] = max(0, steps * s + k - size - before - after)
    return kernel, strides, pads, overhang


def _full(pads: Sequence[Sequence[int]], overhang: Sequence[int]) -> list[list[int]]:
    return [[before, after + more] for (before, after), more in zip(pads, overhang, strict=True)]


@computes("max_pool")
def _max_pool(op: Arguments) -> Tensor:
    x = op.tensor("x")
    kernel, strides, pads, overhang = _pool_pads(op, x)
    function: Any = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[x.ndim - 3]
    result: Tensor = function(_padded(x, _full(pads, overhang), float("-inf")), kernel, strides)
    return result


@computes("avg_pool")
def _avg_pool(op: Arguments) -> Tensor:
    x = op.tensor("x")
    kernel, strides, pads, overhang = _pool_pads(op, x)
    counted = torch.ones_like(x[:1, :1])
    if not op.flag("exclude_padding_from_average", False):
        counted = _padded(counted, pads, 1.0)
        counted = _padded(counted, [[0, more] for more in overhang], 0.0)
    else:
        counted = _padded(counted, _full(pads, overhang), 0.0)
    function: Any = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[x.ndim - 3]
    result: Tensor = function(_padded(x, _full(pads, overhang), 0.0), kernel, strides) / function(
        counted, kernel, strides
    )
    return result


def _channelwise(parameter: Tensor | None, rank: int, default: float) -> Tensor:
    return torch.tensor(default) if parameter is None else parameter.reshape([1, -1, *[1] * (rank - 2)])


@computes("batch_norm")
def _batch_norm(op: Arguments) -> Tensor:
    x = op.tensor("x")
    mean, variance = (_channelwise(op.tensor(name), x.ndim, 0) for name in ("mean", "variance"))
    gamma, beta = _channelwise(op.maybe("gamma"), x.ndim, 1), _channelwise(op.maybe("beta"), x.ndim, 0)
    return (x - mean) * torch.rsqrt(variance + op.number("epsilon", 1e-5)) * gamma + beta


def _standardised(x: Tensor, axes: list[int], epsilon: float) -> Tensor:
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + epsilon)


@computes("instance_norm")
def _instance_norm(op: Arguments) -> Tensor:
    x = op.tensor("x")
    standard = _standardised(x, list(range(2, x.ndim)), op.number("epsilon", 1e-5))
    return standard * _channelwise(op.maybe("gamma"), x.ndim, 1) + _channelwise(op.maybe("beta"), x.ndim, 0)


@computes("layer_norm")
def _layer_norm(op: Arguments) -> Tensor:
    x = op.tensor("x")
    axes = sorted(axis % x.ndim for axis in op.ints("axes", range(x.ndim)))
    shape = [dim if axis in axes else 1 for axis, dim in enumerate(x.shape)]
    standard = _standardised(x, axes, op.number("epsilon", 1e-5))
    gamma, beta = op.maybe("gamma"), op.maybe("beta")
    standard = standard if gamma is None else standard * gamma.reshape(shape)
    return standard if beta is None else standard + beta.reshape(shape)


@computes("l2_norm")
def _l2_norm(op: Arguments) -> Tensor:
    x = op.tensor("x")
    total = x.square().sum(list(range(x.ndim - 3, x.ndim)), keepdim=True)
    return x / (total + op.number("epsilon", 1e-6)).sqrt()


@computes("local_response_norm")
def _local_response_norm(op: Arguments) -> Tensor:
    size = op.integer("size", 1)
    return F.local_response_norm(
        op.tensor("x"), size, op.number("alpha", 1e-4), op.number("beta", 0.75), op.number("k", 1.0)
    )


@computes("matmul")
def _matmul(op: Arguments) -> Tensor:
    x, y = op.tensor("x"), op.tensor("y")
    x = x.transpose(-1, -2) if op.flag("transpose_x", False) else x
    y = y.transpose(-1, -2) if op.flag("transpose_y", False) else y
    return torch.matmul(x, y)


@computes("linear")
def _linear(op: Arguments) -> Tensor:
    return F.linear(op.tensor("x"), op.tensor("weight"), op.maybe("bias"))


@computes("einsum")
def _einsum(op: Arguments) -> Tensor:
    return torch.einsum(op.text("equation", ""), *op.tensors("values"))


@computes("scaled_dot_product_attention")
def _attention(op: Arguments) -> Tensor:
    mask = op.maybe("attn_mask")
    return F.scaled_dot_product_attention(op.tensor("query"), op.tensor("key"), op.tensor("value"), mask)
