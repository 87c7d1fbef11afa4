"""The inverse wavelet transform: y[p, q] = sum_{s,i,j} x[s, i, j] f[s, p + lead - 2i, q + lead - 2j].

Of the k taps of an axis only the k/2 whose parity is that of p + lead meet a coefficient, so an output gathers
4 (k/2)^2 terms and nothing is scattered. `crop` is only a smaller output: what it cuts is never computed.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["idwt"]


@triton.jit
def idwt(
    x: tl.tensor,
    filters: tl.tensor,
    channels: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    out_height: tl.tensor,
    out_width: tl.tensor,
    y: tl.tensor,
    TAPS: tl.constexpr,
    LEAD: tl.constexpr,
    SHARED_FILTERS: tl.constexpr,
    PERIODIC: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """One program: BLOCK output pixels of one channel of one sample."""
    out_size = out_height * out_width
    blocks = tl.cdiv(out_size, BLOCK)
    plane = tl.program_id(0) // blocks
    position = (tl.program_id(0) % blocks) * BLOCK + tl.arange(0, BLOCK)
    inside = position < out_size
    image = x + plane.to(tl.int64) * 4 * height * width
    taps = filters if SHARED_FILTERS else filters + (plane % channels) * (4 * TAPS * TAPS)

    bottom = position // out_width + LEAD
    right = position % out_width + LEAD
    total = tl.zeros([BLOCK], tl.float32)
    for half_m in range(TAPS // 2):
        for half_n in range(TAPS // 2):
            m = bottom % 2 + 2 * half_m
            n = right % 2 + 2 * half_n
            # Both differences are even, so the arithmetic shift divides exactly, below zero too.
            row = (bottom - m) >> 1
            column = (right - n) >> 1
            if PERIODIC:
                row = (row % height + height) % height
                column = (column % width + width) % width
            there = inside & (row >= 0) & (row < height) & (column >= 0) & (column < width)
            for band in range(4):
                sample = tl.load(image + (band * height + row) * width + column, there, other=0.0).to(tl.float32)
                weight = tl.load(taps + (band * TAPS + m) * TAPS + n, there, other=0.0).to(tl.float32)
                total += weight * sample
    at = plane.to(tl.int64) * out_size + position
    tl.store(y + at, total.to(y.dtype.element_ty), inside)
