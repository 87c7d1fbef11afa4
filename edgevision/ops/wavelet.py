"""What the wavelet operators share: how a signal is continued past its border, and how many filters there are.

A level of analysis is a strided correlation, y[i] = sum_m x[2i - lead + m] f[m], over a signal continued by zeros
(`zero`) or periodically (`periodization`); synthesis is its transpose. The conventions are PyWavelets'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgevision.errors import GraphError

__all__ = ["MODES", "Analysis", "Synthesis", "analysis", "check", "synthesis"]

MODES: Final = ("zero", "periodization")


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """One axis of a DWT: correlate the signal, continued by `before` and `after` samples, with stride 2."""

    size: int
    before: int
    after: int


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """One axis of an IDWT: continue by `wrap` coefficients on both sides, then transpose-convolve and cut `pad`."""

    size: int
    wrap: int
    pad: int


def analysis(size: int, k: int, mode: str) -> Analysis:
    """Border of an axis of `size` samples under a filter of `k` taps; `size` may be symbolic."""
    if mode == "zero":
        return Analysis(size=(size + k - 1) // 2, before=k - 2, after=k - 2 + size % 2)
    return Analysis(size=(size + 1) // 2, before=k // 2 - 1, after=k // 2 - 1 + size % 2)


def synthesis(size: int, k: int, mode: str) -> Synthesis:
    """Border of an axis of `size` coefficients; `size` may be symbolic."""
    if mode == "zero":
        return Synthesis(size=2 * size - k + 2, wrap=0, pad=k - 2)
    wrap = k // 4
    return Synthesis(size=2 * size, wrap=wrap, pad=2 * wrap + k // 2 - 1)


def check(op: str, rank: int, wanted_rank: int, filters: tuple[int, ...], channels: int, mode: str) -> None:
    """Refuse ranks, filters and modes that the operator does not define."""
    if rank != wanted_rank:
        raise GraphError(op, f"x has {rank} dims, not {wanted_rank}", "see docs/operators.md")
    if mode not in MODES:
        raise GraphError(op, f"mode {mode!r} is unknown", f"use one of {', '.join(MODES)}")
    square = len(filters) == 4 and filters[1] == 1 and filters[2] == filters[3]
    if not square or filters[2] % 2 or filters[2] < 2 or filters[0] not in (4, 4 * channels):
        raise GraphError(
            op, f"filters have shape {filters}", f"give [{4 * channels}, 1, k, k] or [4, 1, k, k] with an even k"
        )
