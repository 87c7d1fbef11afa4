"""The shift convolution in standard operators: codes to dense weights, then one Conv."""

from __future__ import annotations

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.fixed_point import check_activations
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, function
from edgevision.ops.shift_bodies import code_of, codes, floored, rows_of, table
from edgevision.ops.shift_conv.schema import ACTIVATIONS, ATTRIBUTES, INPUTS, NAME

__all__ = ["BODIES"]

_GEOMETRY = ("kernel_shape", "strides", "pads", "dilations")


def _dense(signature: Signature) -> ir.Function:
    code, activations = code_of(signature), str(signature.attributes["activations"])
    check_activations(NAME, activations, ACTIVATIONS)
    if activations != "float" and signature.element_type != ir.DataType.FLOAT:
        raise GraphError(NAME, f"activations {activations!r} need float32", "export with --precision fp32")
    geometry = {name: _ints(signature, name) for name in _GEOMETRY}
    group, taps, per_group = _sizes(signature, geometry["kernel_shape"])
    rows = rows_of(NAME, signature, code, taps)
    r = Recorder(signature.element_type)
    inputs = [ir.Value(name=t.name) for t in INPUTS]
    x, scale, bias = inputs[0], *(inputs[i] if signature.present(i) else None for i in (2, 3))
    found = codes(r, inputs[1], code.width, rows, taps)
    weight = r.op("Gather", table(r, code.values, r.element_type), found, axis=0)
    if scale is not None:
        weight = r.op("Mul", weight, r.op("Unsqueeze", scale, r.ints(1)))
    weight = r.reshape(weight, rows, per_group, *geometry["kernel_shape"])
    fixed = activations == "fixed"
    last = [] if bias is None else [floored(r, bias) if fixed else bias]
    y = r.op("Conv", floored(r, x) if fixed else x, weight, *last, group=group, **geometry)
    numbers = "_".join("x".join(map(str, geometry[name])) for name in _GEOMETRY)
    given = "".join(letter for letter, value in (("s", scale), ("b", bias)) if value is not None)
    sizes = f"{rows}x{taps}g{group}" + (f"_t{signature.element_type}" if signature.element_type != 1 else "")
    overload = "_".join(filter(None, (code.form, str(code.bits), activations, sizes, numbers, given)))
    return function(NAME, overload, inputs, y, ATTRIBUTES, r)


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
