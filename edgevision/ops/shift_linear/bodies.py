"""The shift linear layer in standard operators: codes to dense weights, then one MatMul.

`int32` multiplies nothing either: x shifted by every amount there is, floored, meets a matrix of -1, 0 and 1 in float64,
which holds sums of 32-bit numbers exactly.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.fixed_point import check_activations
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, function
from edgevision.ops.shift_bodies import DOUBLE, code_of, codes, finished, floored, rows_of, shifts_of, table, units
from edgevision.ops.shift_code import ShiftCode
from edgevision.ops.shift_linear.schema import ATTRIBUTES, INPUTS, NAME

__all__ = ["BODIES"]


def _dense(signature: Signature) -> ir.Function:
    code, activations = code_of(signature), str(signature.attributes["activations"])
    check_activations(NAME, activations)
    per_row = (signature.shapes[0] or (None,))[-1]
    rows = rows_of(NAME, signature, code, per_row)
    if activations != "float" and signature.element_type != ir.DataType.FLOAT:
        raise GraphError(NAME, f"activations {activations!r} need float32", "export with --precision fp32")
    r = Recorder(signature.element_type)
    inputs = [ir.Value(name=t.name) for t in INPUTS]
    scale, bias = (inputs[i] if signature.present(i) else None for i in (2, 3))
    found = codes(r, inputs[1], code.width, rows, int(per_row or 0))
    if activations == "int32":
        y = _integer(r, inputs[0], found, code, (scale, bias))
    else:
        y = _product(r, inputs[0], found, code, (scale, bias), fixed=activations == "fixed")
    given = "".join(letter for letter, value in (("s", scale), ("b", bias)) if value is not None)
    sizes = f"{rows}x{per_row}" + (f"_t{signature.element_type}" if signature.element_type != 1 else "")
    overload = "_".join(filter(None, (code.form, str(code.bits), activations, sizes, given)))
    return function(NAME, overload, inputs, y, ATTRIBUTES, r)


def _product(
    r: Recorder,
    x: ir.Value,
    found: ir.Value,
    code: ShiftCode,
    optional: tuple[ir.Value | None, ir.Value | None],
    *,
    fixed: bool,
) -> ir.Value:
    scale, bias = optional
    weight = r.op("Gather", table(r, code.values, r.element_type), found, axis=0)
    if scale is not None:
        weight = r.op("Mul", weight, r.op("Unsqueeze", scale, r.ints(1)))
    y = r.op("MatMul", floored(r, x) if fixed else x, r.op("Transpose", weight, perm=[1, 0]))
    return y if bias is None else r.op("Add", y, floored(r, bias) if fixed else bias)


def _integer(
    r: Recorder, x: ir.Value, found: ir.Value, code: ShiftCode, optional: tuple[ir.Value | None, ir.Value | None]
) -> ir.Value:
    shifts, known = shifts_of(code)
    powers = table(r, np.array([[2.0**-s] for s in shifts]), DOUBLE)
    shifted = r.op("Floor", r.op("Mul", r.op("Unsqueeze", units(r, x), r.ints(-2)), powers))
    signs = r.op("Gather", table(r, known, DOUBLE), found, axis=0)
    # [..., S, K] times [S, K, N], summed over both: one product per shift, then a sum over them.
    products = r.op("MatMul", r.op("Unsqueeze", shifted, r.ints(-2)), r.op("Transpose", signs, perm=[2, 1, 0]))
    return finished(r, r.op("ReduceSum", products, r.ints(-3, -2), keepdims=0), *optional)


BODIES = {"canonical": _dense}
