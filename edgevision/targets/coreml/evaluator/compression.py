"""Quantization and compressed weights."""

from __future__ import annotations

import torch

from edgevision.targets.coreml.evaluator.semantics import Arguments, computes, unknown

__all__: list[str] = []

Tensor = torch.Tensor
_RANGES = {"int8": (-128, 127, torch.int8), "uint8": (0, 255, torch.uint8)}


def _along(parameter: Tensor, axis: int, rank: int) -> Tensor:
    return parameter.reshape([-1 if a == axis % rank else 1 for a in range(rank)]) if parameter.ndim == 1 else parameter


@computes("quantize")
def _quantize(op: Arguments) -> Tensor:
    x, axis = op.tensor("input"), op.integer("axis", 0)
    low, high, dtype = _RANGES[op.text("output_dtype", "int8")]
    quotient = torch.round(x / _along(op.tensor("scale"), axis, x.ndim))
    if "zero_point" in op:
        quotient = quotient + _along(op.tensor("zero_point"), axis, x.ndim).to(torch.float32)
    return quotient.clamp(low, high).to(dtype)


def _affine(data: Tensor, scale: Tensor, zero: Tensor | None, axis: int) -> Tensor:
    wide = data.to(torch.float32)
    if zero is not None:
        wide = wide - _along(zero, axis, data.ndim).to(torch.float32)
    return wide * _along(scale, axis, data.ndim)


@computes("dequantize")
def _dequantize(op: Arguments) -> Tensor:
    return _affine(op.tensor("input"), op.tensor("scale"), op.maybe("zero_point"), op.integer("axis", 0))


@computes("constexpr_affine_dequantize")
def _constexpr_affine(op: Arguments) -> Tensor:
    return _affine(op.tensor("quantized_data"), op.tensor("scale"), op.tensor("zero_point"), op.integer("axis", 0))


def _blocks(parameter: Tensor, shape: torch.Size) -> Tensor:
    """A parameter a block, repeated to one an element."""
    for axis, (have, want) in enumerate(zip(parameter.shape, shape, strict=True)):
        parameter = parameter.repeat_interleave(want // have, axis)
    return parameter


@computes("constexpr_blockwise_shift_scale")
def _blockwise(op: Arguments) -> Tensor:
    data = op.tensor("data").to(torch.float32)
    if "offset" in op:
        data = data - _blocks(op.tensor("offset").to(torch.float32), data.shape)
    return data * _blocks(op.tensor("scale"), data.shape)


@computes("constexpr_cast")
def _constexpr_cast(op: Arguments) -> Tensor:
    return op.tensor("source_val").to(torch.float32)


@computes("constexpr_lut_to_dense")
def _lut_to_dense(op: Arguments) -> Tensor:
    if "shape" in op:
        return _packed_lut(op)
    indices, lut = op.tensor("indices").long(), op.tensor("lut")
    # lut: one table a block of indices, [blocks of each axis..., entries, vector size]
    entries, vector = lut.shape[-2:]
    if vector != 1:
        raise unknown(op, "palettes of vectors")
    tables = lut[..., 0]
    for axis, (have, want) in enumerate(zip(tables.shape[:-1], indices.shape, strict=True)):
        tables = tables.repeat_interleave(want // have, axis)
    assert tables.shape[-1] == entries
    return tables.gather(-1, indices.unsqueeze(-1)).squeeze(-1)


def _packed_lut(op: Arguments) -> Tensor:
    """The iOS 16 form: indices packed into bytes from the low bits up, one table for the whole tensor."""
    from math import prod

    from edgevision.targets.coreml.evaluator.blob import unpack

    lut, shape = op.tensor("lut"), op.ints("shape")
    bits = max(1, (lut.numel() - 1).bit_length())
    indices = unpack(op.tensor("indices").numpy(), bits, prod(shape))
    return lut[torch.from_numpy(indices).long()].reshape(shape)


@computes("classify")
def _classify(op: Arguments) -> tuple[str, dict[str, float]]:
    chances, classes = op.tensor("probabilities").reshape(-1), op.values["classes"][0]
    return str(classes[int(chances.argmax())]), dict(zip(classes, chances.tolist(), strict=True))
