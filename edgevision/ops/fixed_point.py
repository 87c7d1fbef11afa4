"""ShiftAddViT's fixed-point activations: 16 integer bits with the sign, 16 fraction bits, rounded down.

`fixed` floors x and the bias to multiples of 2^-16 and computes exactly from there. `int32` is what integer hardware does:
every product is a right shift, which rounds down too, and the sums wrap around in 32 bits.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import GraphError

__all__ = ["ACTIVATIONS", "GREATEST", "LEAST", "ONE", "check_activations", "to_fixed", "to_integer", "wrapped"]

ACTIVATIONS: Final = ("float", "fixed", "int32")
#: 1.0 as an integer.
ONE: Final = 2**16
#: What values are clamped to; the greatest is a whole number, not the last fraction before 2^15.
LEAST, GREATEST = -(2.0**15), 2.0**15 - 1


def check_activations(op: str, activations: str) -> None:
    """Refuse what the operator does not define."""
    if activations not in ACTIVATIONS:
        raise GraphError(op, f"activations {activations!r} is unknown", f"use one of {', '.join(ACTIVATIONS)}")


def to_fixed(x: NDArray[np.generic]) -> NDArray[np.float64]:
    """floor(x·2^16)·2^-16, clamped."""
    return np.asarray((np.floor(np.asarray(x, np.float64) * ONE) / ONE).clip(LEAST, GREATEST))


def to_integer(x: NDArray[np.generic]) -> NDArray[np.int64]:
    """`to_fixed` in units of 2^-16; NaN is refused by nobody and becomes what the processor makes of it."""
    return np.asarray(to_fixed(x) * ONE).astype(np.int64)


def wrapped(total: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum as 32 bits with a sign hold it."""
    return np.asarray((total + 2**31) % 2**32 - 2**31)
