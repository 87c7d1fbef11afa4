"""Codes for weights that are signed powers of two, so that a product is a shift: DeepShift's PS and Q, and APoT.

A code is a sign bit above an index of the magnitude; `bits` is the papers' number, `width` what a code takes in memory.

| form | magnitudes | codes | width |
|---|---|---|---|
| `ps` | 0 and 2^0 ... 2^-(2^(bits-1) - 2) | 2^bits - 1 | bits |
| `q` | 0 and 2^0 ... 2^-(2^(bits-1) - 1) | 2^bits + 1 | bits + 1 |
| `q_nonzero` | the same without 0 | 2^bits | bits |
| `apot` | a + b with a in {0, 4^0, 4^-1, ...} and b in {0, 4^-0 / 2, 4^-1 / 2, ...} | 2^bits - 1 | bits |

No exponent goes below -126, the least normal one of float32, so that `q` at 8 bits takes 8 and not 9; none of `apot` below
-22, so that every sum is exact in float32.
Sources: M. Elhoushi et al., DeepShift, CVPRW 2021 (PS, Q); Y. Li et al., Additive Powers-of-Two, ICLR 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import GraphError, ModelError

__all__ = ["BITS", "FORMS", "NO_SHIFT", "ShiftCode", "Terms"]

FORMS: Final = ("ps", "q", "q_nonzero", "apot")
BITS: Final = range(2, 9)
#: In the place of a shift: this term of the sum is 0.
NO_SHIFT: Final = -1
_LEAST_EXPONENT: Final = -126
_MOST_APOT: Final = 22


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What every code means: sign · (2^-first + 2^-second), a term left out where its shift is `NO_SHIFT`."""

    sign: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ShiftCode:
    """One form at one number of bits.

    Raises:
        GraphError: an unknown form, or bits outside 2 to 8.
    """

    form: str
    bits: int

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise GraphError("form", f"{self.form!r} is unknown", f"use one of {', '.join(FORMS)}")
        if self.bits not in BITS:
            raise GraphError(
                "bits", f"{self.bits} is outside {BITS.start} to {BITS.stop - 1}", "5 is the papers' choice"
            )

    @property
    def has_zero(self) -> bool:
        """Whether a weight of exactly 0 has a code."""
        return self.form != "q_nonzero"

    @property
    def least_exponent(self) -> int:
        """Exponent of the least magnitude but 0 of `ps` and `q`; the greatest is 0."""
        count = (1 << (self.bits - 1)) - (1 if self.form == "ps" else 0)
        return max(_LEAST_EXPONENT, 1 - count)

    @property
    def width(self) -> int:
        """Bits of a stored code."""
        if self.form == "apot":
            return self.bits
        greatest_index: int = int(self.has_zero) - self.least_exponent
        return greatest_index.bit_length() + 1

    @cached_property
    def terms(self) -> Terms:
        """The meaning of all 2^width codes; those that no weight is given mean 0."""
        code = np.arange(2**self.width)
        index = code & (2 ** (self.width - 1) - 1)
        first, second = self._apot_shifts(index) if self.form == "apot" else self._power_shifts(index)
        nothing = (first == NO_SHIFT) & (second == NO_SHIFT)
        sign = np.where(nothing, 0, np.where(code >> (self.width - 1), -1, 1))
        return Terms(sign=sign, first=first, second=second)

    def _power_shifts(self, index: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        shift = index - int(self.has_zero)
        return np.where((shift < 0) | (shift > -self.least_exponent), NO_SHIFT, shift), np.full_like(index, NO_SHIFT)

    def _apot_shifts(self, index: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        fine = (self.bits - 1) // 2
        a, b = index >> fine, index & (2**fine - 1)
        return np.where(a == 0, NO_SHIFT, np.minimum(2 * (a - 1), _MOST_APOT)), np.where(
            b == 0, NO_SHIFT, 2 * (b - 1) + 1
        )

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """[2^width]: the weight of every code."""
        t = self.terms
        powers = [np.where(shift == NO_SHIFT, 0.0, 2.0 ** -shift.astype(np.float64)) for shift in (t.first, t.second)]
        return np.asarray(t.sign * (powers[0] + powers[1]))

    @property
    def greatest(self) -> float:
        """The greatest magnitude: 1, or 1.5 for `apot` of three bits and more."""
        return float(self.values.max())

    def encode(self, weights: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Code of every weight: the nearest power in log2, clamped to the range, as DeepShift; for APoT the nearest sum.

        A weight that is not 0 never becomes 0 in `ps` and `q`; 0 itself becomes the least positive one in `q_nonzero`.

        Raises:
            ModelError: a weight is NaN or infinite.
        """
        w = np.asarray(weights, np.float64)
        if not np.isfinite(w).all():
            raise ModelError(
                "weights", "some are NaN or infinite, and no power of two is near", "repair the checkpoint"
            )
        index = self._apot_index(np.abs(w)) if self.form == "apot" else self._power_index(np.abs(w))
        negative = (w < 0) & ((index > 0) | (not self.has_zero))
        return (index | (negative.astype(np.int64) << (self.width - 1))).astype(np.uint8)

    def _power_index(self, magnitude: NDArray[np.float64]) -> NDArray[np.int64]:
        with np.errstate(divide="ignore"):
            exponent = np.rint(np.log2(magnitude)).clip(self.least_exponent, 0)
        index = (-exponent).astype(np.int64) + int(self.has_zero)
        return np.where(magnitude == 0, 0, index) if self.has_zero else index

    def _apot_index(self, magnitude: NDArray[np.float64]) -> NDArray[np.int64]:
        positive = self.values[: 2 ** (self.width - 1)]
        order = np.argsort(positive, kind="stable")
        borders = (positive[order][1:] + positive[order][:-1]) / 2
        return np.asarray(order[np.searchsorted(borders, magnitude, side="left")])

    def decode(self, codes: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The weights of codes, exact in float32 too."""
        return np.asarray(self.values[codes])
