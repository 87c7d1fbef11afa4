"""One layer's weights into codes: the optional scale of each output, and what was lost.

    w ≈ scale · s,    s a signed power of two (or a sum of two)

Powers of two repeat every octave, so a scale matters only within one: of the tries 2^(i/16) times the scale at which the
largest weight is the largest code, each row takes the one with the least squared error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import ModelError
from edgevision.ops.shift_code import ShiftCode

__all__ = ["Encoded", "encode_layer"]

_TRIES: Final = 16


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A layer in codes.

    Attributes:
        codes: [N, K].
        scale: [N] in float32, None where every row's is 1.
        dense: [N, K], what the codes mean, scale included.
        error: relative L2 error of the weights.
        zeros: weights that are 0 and could not stay 0.
        clamped: weights that were larger than the largest code by more than rounding.
        raised: weights that were smaller than the least code by more than rounding.
    """

    codes: NDArray[np.uint8]
    scale: NDArray[np.float32] | None
    dense: NDArray[np.float64]
    error: float
    zeros: int
    clamped: int
    raised: int


def encode_layer(name: str, weight: NDArray[np.float64], code: ShiftCode, *, per_channel: bool) -> Encoded:
    """Encode [N, K] weights.

    Raises:
        ModelError: they have NaN or infinities, or are all 0 in a form without a 0.
    """
    if not np.isfinite(weight).all():
        raise ModelError(f"layer {name}", "its weights have NaN or infinite values", "use an undamaged checkpoint")
    if not code.has_zero and not weight.any():
        raise ModelError(f"layer {name}", "all its weights are 0, and this form has no 0", "use --form q, or ps")
    scale = _scale(weight, code) if per_channel else None
    unscaled = weight if scale is None else weight / scale[:, None]
    codes = code.encode(unscaled)
    dense = code.decode(codes) * (1.0 if scale is None else scale[:, None].astype(np.float64))
    magnitude, least = np.abs(unscaled), float(code.values[code.values > 0].min())
    return Encoded(
        codes=codes,
        scale=scale,
        dense=dense,
        error=_relative(weight, dense),
        zeros=0 if code.has_zero else int((weight == 0).sum()),
        clamped=int((magnitude > 1.5 * code.greatest).sum()),
        raised=int(((magnitude < least / 1.5) & (magnitude > 0)).sum()),
    )


def _scale(weight: NDArray[np.float64], code: ShiftCode) -> NDArray[np.float32]:
    """[N]: of each row the best within an octave; 1 for a row of zeros."""
    largest = np.abs(weight).max(1)
    top = np.where(largest > 0, largest / code.greatest, 1.0)
    best, least = top.astype(np.float32), np.full(len(weight), np.inf)
    for step in range(_TRIES):
        scale = (top * 2.0 ** (-step / _TRIES)).astype(np.float32)
        gap = weight - code.decode(code.encode(weight / scale[:, None])) * scale[:, None].astype(np.float64)
        loss = np.square(gap).sum(1)
        best, least = np.where(loss < least, scale, best), np.minimum(loss, least)
    return np.asarray(best, np.float32)


def _relative(weight: NDArray[np.float64], dense: NDArray[np.float64]) -> float:
    whole = float(np.linalg.norm(weight))
    return float(np.linalg.norm(weight - dense)) / whole if whole else 0.0
