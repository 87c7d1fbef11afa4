"""Energy of a model's linear layers and convolutions, from published costs per operation: a model, not a measurement.

Arithmetic per multiply-accumulate, in picojoules at 45 nm and 0.9 V:

    | | multiply | add | shift |
    |---|---|---|---|
    | 32 bits | 3.7 (float) | 0.9 (float) | 0.13 (integer) |
    | 8 bits | 0.2 | 0.03 | 0.024 |

Movement per 16 bits, in an accelerator like Eyeriss:

    | registers | registers of weights | network | network of sums | buffer | DRAM |
    |---|---|---|---|---|---|
    | 3.7 | 7.4 | 7.4 | 3.7 | 22.2 | 200 |

Every multiply-accumulate reads a weight and an input from registers, reads its sum there and writes it; everything crosses
network, buffer (weights pass it by) and DRAM once. That is ShiftAddViT's model of the accelerator at its least: a tiling that
does not fit on the chip moves data more often.

Multiply and add: M. Horowitz, "Computing's energy problem", ISSCC 2014. Shift: H. You et al., ShiftAddNet, NeurIPS 2020. DRAM,
and the others as multiples (1, 2, 2, 1, 6) of a multiplication: Y.-H. Chen et al., Eyeriss, ISCA 2016, V. Sze et al., Proc. IEEE
105, 2017. All as in ShiftAddViT's own `hw_utils.py`, but for the widths: it counts 10 bits for all that shift layers move; here
weights have their stored bits, and activations and sums of 16.16 bits 32.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from edgevision.ops.shift_code import ShiftCode
from edgevision.shiftadd.convert import Layer

__all__ = ["Energy", "Movement", "energy_of", "layer_energy"]

MULTIPLY, ADD, SHIFT = 3.7, 0.9, 0.13
MULTIPLY_INT8, ADD_INT8, SHIFT_INT8 = 0.2, 0.03, 0.024
REGISTERS, WEIGHT_REGISTERS, NETWORK, SUM_NETWORK, BUFFER, DRAM = 3.7, 7.4, 7.4, 3.7, 22.2, 200.0
#: Bits of a sum, in every form.
_SUM: Final = 32
_MICRO: Final = 1e-6  # picojoules to microjoules


@dataclass(frozen=True, kw_only=True)
class Movement:
    """Microjoules of moving weights, inputs, sums and outputs."""

    registers: float
    network: float
    buffer: float
    dram: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.registers + self.network + self.buffer + self.dram


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Microjoules of one pass over the converted layers, by the constants above.

    Attributes:
        dense, shifted, int8: arithmetic of the layers as they were, as they are, and if they were INT8.
        dense_dram, shifted_dram, int8_dram: reading their weights once from DRAM.
        dense_moved, shifted_moved, int8_moved: moving all they need; None where the size of a tensor is unknown.
    """

    dense: float
    shifted: float
    int8: float
    dense_dram: float
    shifted_dram: float
    int8_dram: float
    dense_moved: Movement | None
    shifted_moved: Movement | None
    int8_moved: Movement | None


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
    stored = 8 * sum(layer.bytes_after for layer in rows)
    return Energy(
        dense=dense,
        shifted=shifted,
        int8=whole * (MULTIPLY_INT8 + ADD_INT8) * _MICRO,
        dense_dram=_moved(32 * weights, DRAM),
        shifted_dram=_moved(stored, DRAM),
        int8_dram=_moved(8 * weights, DRAM),
        dense_moved=_movement(rows, 32, 32),
        shifted_moved=_movement(rows, stored / weights, 32),
        int8_moved=_movement(rows, 8, 8),
    )


def _movement(rows: Sequence[Layer], weight_bits: float, activation_bits: int) -> Movement | None:
    read, written, macs = ([getattr(row, key) for row in rows] for key in ("inputs", "outputs", "macs"))
    if None in read or None in written:
        return None
    weights = weight_bits * sum(row.weights for row in rows)
    inputs, outputs = activation_bits * sum(read), activation_bits * sum(written)
    registers = _moved(sum(macs) * weight_bits, WEIGHT_REGISTERS)
    registers += _moved(sum(macs) * (activation_bits + 2 * _SUM), REGISTERS)
    return Movement(
        registers=registers,
        network=_moved(weights + inputs, NETWORK) + _moved(_SUM * sum(written), SUM_NETWORK),
        buffer=_moved(inputs + outputs, BUFFER),
        dram=_moved(weights + inputs + outputs, DRAM),
    )


def _moved(bits: float, cost: float) -> float:
    return bits / 16 * cost * _MICRO
