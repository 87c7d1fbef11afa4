"""Rows of x against packed power-of-two weights: y[r, o] = sum_k W[o, k] x[r, k], W = sign (2^-first + 2^-second).

A program owns a few rows and outputs and walks over the inputs; it unpacks a tile of codes (of WIDTH bits, least
significant first, see `edgevision.ops.bit_packing`) in registers, so that memory is asked for packed bytes only. Floats
get their weights by writing the exponent, 127 - shift, and meet x in a matrix product; integers are shifted right, which
rounds down, and summed with wrap-around in 32 bits, which is DeepShift's integer arithmetic.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["shift_linear"]


@triton.jit
def _power(shift: tl.tensor) -> tl.tensor:
    """2^-shift as float32, 0 for a negative shift, by its exponent bits."""
    return tl.where(shift < 0, 0, (127 - shift) << 23).to(tl.float32, bitcast=True)


@triton.jit
def shift_linear(
    x: tl.tensor,
    packed: tl.tensor,
    terms: tl.tensor,
    rows: tl.tensor,
    inputs: tl.tensor,
    outputs: tl.tensor,
    row_bytes: tl.tensor,
    y: tl.tensor,
    WIDTH: tl.constexpr,
    TWO_TERMS: tl.constexpr,
    INTEGER: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_OUTPUTS: tl.constexpr,
    BLOCK_INPUTS: tl.constexpr,
) -> None:
    """One program: BLOCK_ROWS by BLOCK_OUTPUTS of y.

    Args:
        x: [rows, inputs], float32, or int32 in units of 2^-16 when INTEGER.
        packed: uint8 [outputs, row_bytes].
        terms: int32 [3, 2^WIDTH]: sign (-1, 0, 1), first and second shift of every code; -1 is no shift.
        rows, inputs, outputs, row_bytes: sizes.
        y: [rows, outputs], of x's type.
        WIDTH: bits of a code.
        TWO_TERMS: whether any second shift counts.
        INTEGER: 32-bit arithmetic shifts in place of products.
        BLOCK_ROWS, BLOCK_OUTPUTS, BLOCK_INPUTS: powers of two from 16 up.
    """
    across = tl.cdiv(outputs, BLOCK_OUTPUTS)
    row = (tl.program_id(0) // across) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    output = (tl.program_id(0) % across) * BLOCK_OUTPUTS + tl.arange(0, BLOCK_OUTPUTS)
    CODES: tl.constexpr = 2**WIDTH
    total = tl.zeros([BLOCK_ROWS, BLOCK_OUTPUTS], tl.int32 if INTEGER else tl.float32)
    for start in range(0, inputs, BLOCK_INPUTS):
        k = start + tl.arange(0, BLOCK_INPUTS)
        there = (output < outputs)[:, None] & (k < inputs)[None, :]
        byte = (k * WIDTH) // 8
        at = packed + output[:, None].to(tl.int64) * row_bytes + byte[None, :]
        low = tl.load(at, there, other=0).to(tl.int32)
        high = tl.load(at + 1, there & (byte + 1 < row_bytes)[None, :], other=0).to(tl.int32)
        code = ((low | (high << 8)) >> ((k * WIDTH) % 8)[None, :]) & (CODES - 1)
        sign = tl.load(terms + code, there, other=0)
        first = tl.load(terms + CODES + code, there, other=-1)
        second = tl.load(terms + 2 * CODES + code, there, other=-1) if TWO_TERMS else tl.full(first.shape, -1, tl.int32)
        seen = (row < rows)[:, None] & (k < inputs)[None, :]
        operand = tl.load(x + row[:, None].to(tl.int64) * inputs + k[None, :], seen, other=0)
        if INTEGER:
            shifted = tl.where(first < 0, 0, 1)[None, :, :] * (
                operand[:, None, :] >> tl.minimum(tl.maximum(first, 0), 31)[None, :, :]
            )
            if TWO_TERMS:
                shifted += tl.where(second < 0, 0, 1)[None, :, :] * (
                    operand[:, None, :] >> tl.minimum(tl.maximum(second, 0), 31)[None, :, :]
                )
            total += tl.sum(sign[None, :, :] * shifted, 2)
        else:
            weight = _power(first) + _power(second) if TWO_TERMS else _power(first)
            total += tl.dot(operand, tl.trans(sign.to(tl.float32) * weight), input_precision="ieee")
    inside = (row < rows)[:, None] & (output < outputs)[None, :]
    tl.store(y + row[:, None].to(tl.int64) * outputs + output[None, :], total, inside)
