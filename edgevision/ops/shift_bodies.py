"""What the bodies of the shift operators share: codes to dense weights, activations to fixed point, integer sums.

Packed weights are constants, so a runtime that folds constants unpacks them once, when it loads the model.

Integers travel as whole float64 numbers, which hold sums of 32-bit numbers exactly and have a fast product.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.bit_packing import GROUP, packed_bytes
from edgevision.ops.fixed_point import GREATEST, LEAST, ONE
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder
from edgevision.ops.shift_code import NO_SHIFT, ShiftCode

__all__ = ["DOUBLE", "code_of", "codes", "finished", "floored", "rows_of", "shifts_of", "table", "units"]

DOUBLE = ir.DataType.DOUBLE


def code_of(signature: Signature) -> ShiftCode:
    """The code of a node."""
    return ShiftCode(form=str(signature.attributes["form"]), bits=int(str(signature.attributes["bits"])))


def rows_of(op: str, signature: Signature, code: ShiftCode, per_row: int | None) -> int:
    """Rows of the packed weights; refuses rows that are not `per_row` codes long."""
    packed = signature.shapes[1]
    if per_row is None or packed is None or len(packed) != 2 or packed[0] is None:
        raise GraphError(op, f"weights of {packed} for {per_row} inputs are not static", "infer shapes first")
    if packed[1] != packed_bytes(per_row, code.width):
        wanted = f"{per_row} codes of {code.width} bits are {packed_bytes(per_row, code.width)} bytes"
        raise GraphError(op, f"packed weights have rows of {packed[1]}, and {wanted}", "pack them for this form")
    return packed[0]


def codes(r: Recorder, packed: ir.Value, width: int, rows: int, per_row: int) -> ir.Value:
    """int32 [rows, per_row] from uint8 [rows, bytes], by the definition in `bit_packing`."""
    found = r.op("Cast", packed, to=ir.DataType.INT32)
    if width < GROUP:
        groups = -(-per_row // GROUP)
        starts = [k * width for k in range(GROUP)]
        low = [start // 8 for start in starts]
        octets = r.reshape(found, rows, groups, width)
        high = r.op("Gather", octets, r.ints(*(min(i + 1, width - 1) for i in low)), axis=2)
        word = r.op("Add", r.op("Gather", octets, r.ints(*low), axis=2), r.op("Mul", high, _int32(r, [256])))
        # Bits of the next code, and of a byte taken for want of a next one, are above the code's own and drop out.
        shifted = r.op("Div", word, _int32(r, [2 ** (start % 8) for start in starts]))
        found = r.reshape(r.op("Mod", shifted, _int32(r, [2**width])), rows, groups * GROUP)
    return r.op("Slice", found, r.ints(0), r.ints(per_row), r.ints(1)) if per_row % GROUP else found


def table(r: Recorder, values: np.ndarray, element_type: ir.DataType) -> ir.Value:
    """A constant table with one row per code."""
    return r.op("Constant", value=ir.tensor(values.astype(element_type.numpy()), element_type))


def floored(r: Recorder, x: ir.Value) -> ir.Value:
    """floor(x·2^16)·2^-16, clamped."""
    whole = r.op("Floor", r.op("Mul", x, r.scalar(float(ONE))))
    return r.op("Clip", r.op("Mul", whole, r.scalar(1.0 / ONE)), r.scalar(LEAST), r.scalar(GREATEST))


def shifts_of(code: ShiftCode) -> tuple[list[int], np.ndarray]:
    """The shifts S that a code knows, and [codes, S]: how often, with which sign, each code adds x shifted by each."""
    t = code.terms
    shifts = sorted({int(s) for s in (*t.first, *t.second)} - {NO_SHIFT})
    return shifts, np.stack([t.sign * ((t.first == s).astype(int) + (t.second == s)) for s in shifts], 1)


def units(r: Recorder, x: ir.Value) -> ir.Value:
    """The tensor in units of 2^-16, as a float64 that is whole."""
    return r.op("Cast", r.op("Mul", floored(r, x), r.scalar(float(ONE))), to=DOUBLE)


def finished(r: Recorder, total: ir.Value, scale: ir.Value | None, bias: ir.Value | None) -> ir.Value:
    """Sums in units of 2^-16 as 32 bits hold them, then scale and bias, which have shapes that broadcast.

    Without a scale the bias is part of the sum, and wraps around with it.
    """
    if scale is None and bias is not None:
        total = r.op("Add", total, units(r, bias))
    y = r.op("Mul", r.op("Cast", _wrapped(r, total), to=r.element_type), r.scalar(1.0 / ONE))
    if scale is None:
        return y
    y = r.op("Mul", y, scale)
    return y if bias is None else r.op("Add", y, floored(r, bias))


def _wrapped(r: Recorder, total: ir.Value) -> ir.Value:
    """A whole float64 as 32 bits with a sign hold it."""
    half, whole = (table(r, np.array(v), DOUBLE) for v in (2.0**31, 2.0**32))
    turns = r.op("Floor", r.op("Div", r.op("Add", total, half), whole))
    return r.op("Sub", total, r.op("Mul", turns, whole))


def _int32(r: Recorder, values: list[int]) -> ir.Value:
    return r.op("Constant", value=ir.tensor(values, ir.DataType.INT32))
