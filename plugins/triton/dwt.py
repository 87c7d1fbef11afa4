"""One level of the 2-d wavelet transform: y[s, i, j] = sum_{m,n} x[2i - lead + m, 2j - lead + n] f[s, m, n].

A program computes a run of outputs of one channel, all four sub-bands at once, so that a sample is read once for the
four. Outside the image is zero, or, in mode `periodization`, the image again (an odd axis repeats its last sample).
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["dwt"]


@triton.jit
def dwt(
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
    """One program: BLOCK positions of one channel of one sample, four sub-bands each."""
    out_size = out_height * out_width
    blocks = tl.cdiv(out_size, BLOCK)
    plane = tl.program_id(0) // blocks
    position = (tl.program_id(0) % blocks) * BLOCK + tl.arange(0, BLOCK)
    inside = position < out_size
    band = tl.arange(0, 4)
    image = x + plane.to(tl.int64) * height * width
    taps = filters if SHARED_FILTERS else filters + (plane % channels) * (4 * TAPS * TAPS)

    top = 2 * (position // out_width) - LEAD
    left = 2 * (position % out_width) - LEAD
    total = tl.zeros([4, BLOCK], tl.float32)
    for m in range(TAPS):
        for n in range(TAPS):
            row = top + m
            column = left + n
            if PERIODIC:
                even_height = height + height % 2
                even_width = width + width % 2
                row = tl.minimum((row % even_height + even_height) % even_height, height - 1)
                column = tl.minimum((column % even_width + even_width) % even_width, width - 1)
            there = inside & (row >= 0) & (row < height) & (column >= 0) & (column < width)
            sample = tl.load(image + row * width + column, there, other=0.0).to(tl.float32)
            weight = tl.load(taps + band * (TAPS * TAPS) + m * TAPS + n).to(tl.float32)
            total += weight[:, None] * sample[None, :]
    at = (plane.to(tl.int64) * 4 + band)[:, None] * out_size + position[None, :]
    tl.store(y + at, total.to(y.dtype.element_ty), inside[None, :] & (band < 4)[:, None])
