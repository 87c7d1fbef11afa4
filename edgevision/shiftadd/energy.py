"""Energy of a model's linear layers and convolutions, from published costs per operation: a model, not a measurement.

Arithmetic per multiply-accumulate, in picojoules at 45 nm and 0.9 V:

    | | multiply | add | shift |
    |---|---|---|---|
    | 32 bits | 3.7 (float) | 0.9 (float) | 0.13 (integer) |
    | 8 bits | 0.2 | 0.03 | 0.024 |

Multiply and add: M. Horowitz, "Computing's energy problem", ISSCC 2014. Shift: H. You et al., ShiftAddNet, NeurIPS 2020.
Both as in ShiftAddViT's own `hw_utils.py`. DRAM: 200 pJ per 16 bits (V. Sze et al., Proc. IEEE 105, 2017), here for reading
every weight once a pass; ShiftAddViT's full model of an Eyeriss-like accelerator is not rebuilt.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from edgevision.ops.shift_code import ShiftCode
from edgevision.shiftadd.convert import Layer

__all__ = ["Energy", "energy_of", "layer_energy"]

MULTIPLY, ADD, SHIFT = 3.7, 0.9, 0.13
MULTIPLY_INT8, ADD_INT8, SHIFT_INT8 = 0.2, 0.03, 0.024
DRAM_PER_16_BITS: Final = 200.0
_MICRO: Final = 1e-6  # picojoules to microjoules


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Microjoules of one pass over the converted layers, by the constants above.

    Attributes:
        dense, shifted, int8: arithmetic of the layers as they were, as they are, and if they were INT8.
        dense_dram, shifted_dram, int8_dram: reading their weights once from DRAM.
    """

    dense: float
    shifted: float
    int8: float
    dense_dram: float
    shifted_dram: float
    int8_dram: float


def layer_energy(macs: int, code: ShiftCode) -> tuple[float, float]:
    """Arithmetic of one layer, multiplying and shifting, in microjoules; APoT shifts and adds twice."""
    terms = 2 if code.form == "apot" else 1
    return macs * (MULTIPLY + ADD) * _MICRO, macs * terms * (SHIFT + ADD) * _MICRO


def energy_of(layers: Iterable[Layer], code: ShiftCode) -> Energy | None:
    """Of all `layers` together; None where the work of one is unknown (an open dimension)."""
    rows = list(layers)
    macs = [layer.macs for layer in rows]
    if any(m is None for m in macs):
        return None
    whole = sum(m for m in macs if m is not None)
    dense, shifted = layer_energy(whole, code)
    weights = sum(layer.weights for layer in rows)
    return Energy(
        dense=dense,
        shifted=shifted,
        int8=whole * (MULTIPLY_INT8 + ADD_INT8) * _MICRO,
        dense_dram=_dram(32 * weights),
        shifted_dram=_dram(8 * sum(layer.bytes_after for layer in rows)),
        int8_dram=_dram(8 * weights),
    )


def _dram(bits: int) -> float:
    return bits / 16 * DRAM_PER_16_BITS * _MICRO
