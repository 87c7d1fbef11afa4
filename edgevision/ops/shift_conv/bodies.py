"""The shift convolution in standard operators: codes to dense weights, then one Conv.

`int32` multiplies nothing: the map under every tap, shifted by each amount there is and floored, meets a matrix of -1, 0
and 1. That is a MatMul in float64, since ONNX Runtime has no Conv of float64; one shift after the other, because all
copies at once would take the memory of the map a hundred times.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.fixed_point import check_activations
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, function
from edgevision.ops.shift_bodies import DOUBLE, code_of, codes, finished, floored, rows_of, shifts_of, table, units
from edgevision.ops.shift_code import ShiftCode
from edgevision.ops.shift_conv.schema import ATTRIBUTES, INPUTS, NAME

__all__ = ["BODIES"]

_GEOMETRY = ("kernel_shape", "strides", "pads", "dilations")
#: An end of a Slice beyond any map.
_END = 2**31 - 1
_Geometry = Mapping[str, tuple[int, ...]]


def _dense(signature: Signature) -> ir.Function:
    code, activations = code_of(signature), str(signature.attributes["activations"])
    check_activations(NAME, activations)
    if activations != "float" and signature.element_type != ir.DataType.FLOAT:
        raise GraphError(NAME, f"activations {activations!r} need float32", "export with --precision fp32")
    geometry = {name: _ints(signature, name) for name in _GEOMETRY}
    group, taps, per_group = _sizes(signature, geometry["kernel_shape"])
    rows = rows_of(NAME, signature, code, taps)
    r = Recorder(signature.element_type)
    inputs = [ir.Value(name=t.name) for t in INPUTS]
    x, scale, bias = inputs[0], *(inputs[i] if signature.present(i) else None for i in (2, 3))
    found = codes(r, inputs[1], code.width, rows, taps)
    if activations == "int32":
        total = _integer_sums(r, x, found, code, (rows, per_group, group), geometry)
        y = finished(r, total, *(v and r.reshape(v, rows, 1, 1) for v in (scale, bias)))
    else:
        weight = _kernel(r, found, code, scale, (rows, per_group, *geometry["kernel_shape"]))
        fixed = activations == "fixed"
        last = [] if bias is None else [floored(r, bias) if fixed else bias]
        y = r.op("Conv", floored(r, x) if fixed else x, weight, *last, group=group, **geometry)
    numbers = "_".join("x".join(map(str, geometry[name])) for name in _GEOMETRY)
    given = "".join(letter for letter, value in (("s", scale), ("b", bias)) if value is not None)
    sizes = f"{rows}x{taps}g{group}" + (f"_t{signature.element_type}" if signature.element_type != 1 else "")
    overload = "_".join(filter(None, (code.form, str(code.bits), activations, sizes, numbers, given)))
    return function(NAME, overload, inputs, y, ATTRIBUTES, r)


def _kernel(r: Recorder, found: ir.Value, code: ShiftCode, scale: ir.Value | None, dims: tuple[int, ...]) -> ir.Value:
    """The dense weights, [M, C/group, kh, kw]."""
    weight = r.op("Gather", table(r, code.values, r.element_type), found, axis=0)
    if scale is not None:
        weight = r.op("Mul", weight, r.op("Unsqueeze", scale, r.ints(1)))
    return r.reshape(weight, *dims)


def _integer_sums(
    r: Recorder, x: ir.Value, found: ir.Value, code: ShiftCode, sizes: tuple[int, int, int], geometry: _Geometry
) -> ir.Value:
    """Whole float64 [Bt, M, H', W']: every tap's map, shifted, added or subtracted."""
    rows, per_group, group = sizes
    views = _views(r, units(r, x), geometry)
    # [Bt, group, C/group · taps, H'·W']: in the order of a row of codes.
    stacked = r.concat([r.reshape(view, 0, group, per_group, 1, -1) for view in views], axis=3)
    unfolded = r.reshape(stacked, 0, group, per_group * len(views), -1)
    shifts, known = shifts_of(code)
    total = None
    for shift, column in zip(shifts, known.T, strict=True):
        signs = r.reshape(r.op("Gather", table(r, column, DOUBLE), found, axis=0), group, rows // group, -1)
        shifted = r.op("Floor", r.op("Mul", unfolded, table(r, np.array(2.0**-shift), DOUBLE))) if shift else unfolded
        products = r.op("MatMul", signs, shifted)
        total = products if total is None else r.op("Add", total, products)
    batch, plane = r.op("Shape", views[0], start=0, end=1), r.op("Shape", views[0], start=2)
    return r.op("Reshape", total, r.concat([batch, r.ints(rows), plane], axis=0))


def _views(r: Recorder, x: ir.Value, geometry: _Geometry) -> list[ir.Value]:
    """[Bt, C, H', W'] for each tap: what it meets, in the order of the taps."""
    top, left, bottom, right = geometry["pads"]
    if any(geometry["pads"]):
        x = r.op("Pad", x, r.ints(0, 0, top, left, 0, 0, bottom, right))
    kernel, dilations = geometry["kernel_shape"], geometry["dilations"]
    views = []
    for tap in product(*map(range, kernel)):
        starts = [at * step for at, step in zip(tap, dilations, strict=True)]
        after = [step * (size - 1 - at) for at, step, size in zip(tap, dilations, kernel, strict=True)]
        ends = [-left_over if left_over else _END for left_over in after]
        views.append(r.op("Slice", x, r.ints(*starts), r.ints(*ends), r.ints(2, 3), r.ints(*geometry["strides"])))
    return views


def _sizes(signature: Signature, kernel: tuple[int, ...]) -> tuple[int, int, int]:
    """Groups, taps of an output channel, input channels of a group."""
    shape, group = signature.shapes[0], int(str(signature.attributes["group"]))
    if shape is None or len(shape) != 4 or shape[1] is None:
        raise GraphError(NAME, f"x has shape {shape}", "give [Bt, C, H, W] with C known")
    if shape[1] % group:
        raise GraphError(NAME, f"{shape[1]} channels are not {group} equal groups", "fix the attribute group")
    return group, shape[1] // group * kernel[0] * kernel[1], shape[1] // group


def _ints(signature: Signature, name: str) -> tuple[int, ...]:
    value, length = signature.attributes[name], 4 if name == "pads" else 2
    if not isinstance(value, tuple) or len(value) != length:
        raise GraphError(NAME, f"{name} is {value!r}", f"give {length} integers")
    return value


BODIES = {"canonical": _dense}
