"""The shift convolution as its definition reads, one tap after the other, in float64 or in integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgevision.ops.bit_packing import pack, unpack
from edgevision.ops.fixed_point import check_activations, to_fixed, to_integer
from edgevision.ops.shift_code import NO_SHIFT, ShiftCode
from edgevision.ops.shift_conv.schema import NAME
from edgevision.ops.shift_linear.reference import code_of, finished

if TYPE_CHECKING:
    from edgevision.ops.operator import Array, AttributeValue

__all__ = ["example", "reference"]


def reference(inputs: Sequence[Array | None], attributes: Mapping[str, AttributeValue]) -> list[Array]:
    """The layer: y = scale · (W * x) + bias, ONNX's Conv with W = sign · 2^-shift; 32-bit integers for `int32`."""
    x, packed, scale, bias = (*inputs, None, None)[:4]
    assert x is not None
    assert packed is not None
    code, activations = code_of(attributes), str(attributes.get("activations", "float"))
    check_activations(NAME, activations)
    group, (kh, kw) = int(str(attributes.get("group", 1))), _ints(attributes, "kernel_shape", (1, 1))
    taps = x.shape[1] // group * kh * kw
    codes = unpack(np.asarray(packed, np.uint8), code.width, taps)
    codes = codes.reshape(len(codes), -1, kh, kw)
    if activations == "int32":
        scale, bias = (None if v is None else np.asarray(v)[:, None, None] for v in (scale, bias))
        return [finished(_integer_sums(to_integer(x), codes, code, group, attributes), scale, bias)]
    fixed = activations == "fixed"
    maps = to_fixed(x) if fixed else np.asarray(x, np.float64)
    y = _convolved(maps, code.decode(codes), group, attributes)
    y = y if scale is None else y * np.asarray(scale, np.float64)[:, None, None]
    if bias is not None:
        addend = to_fixed(bias) if fixed else np.asarray(bias, np.float64)
        y = np.asarray(y + addend[:, None, None])
    return [y]


def _integer_sums(
    x: NDArray[np.int64],
    codes: NDArray[np.uint8],
    code: ShiftCode,
    group: int,
    attributes: Mapping[str, AttributeValue],
) -> NDArray[np.int64]:
    """Every shift there is in turn: the taps that have it add or subtract the map shifted by it."""
    total: NDArray[np.int64] = np.zeros((), np.int64)
    t = code.terms
    for shifts in (t.first, t.second):
        for shift in set(shifts.tolist()) - {NO_SHIFT}:
            signs = (t.sign * (shifts == shift))[codes]
            total = total + _convolved(x >> min(shift, 63), signs, group, attributes)
    return total


def _convolved(
    x: NDArray[Any], weight: NDArray[Any], group: int, attributes: Mapping[str, AttributeValue]
) -> NDArray[Any]:
    (sh, sw), (dh, dw) = (_ints(attributes, name, (1, 1)) for name in ("strides", "dilations"))
    top, left, bottom, right = _ints(attributes, "pads", (0, 0, 0, 0))
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    M, per_group, kh, kw = weight.shape
    rows = (x.shape[2] - dh * (kh - 1) - 1) // sh + 1
    columns = (x.shape[3] - dw * (kw - 1) - 1) // sw + 1
    grouped, taps = x.reshape(len(x), group, per_group, *x.shape[2:]), weight.reshape(group, -1, per_group, kh, kw)
    y = np.zeros((len(x), group, M // group, rows, columns), x.dtype)
    for i in range(kh):
        for j in range(kw):
            seen = grouped[
                ..., i * dh : i * dh + sh * (rows - 1) + 1 : sh, j * dw : j * dw + sw * (columns - 1) + 1 : sw
            ]
            y += np.einsum("bgchw,gmc->bgmhw", seen, taps[..., i, j])
    return y.reshape(len(x), M, rows, columns)


def _ints(attributes: Mapping[str, AttributeValue], name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    value = attributes.get(name, default)
    return tuple(value) if isinstance(value, list | tuple) else default


def example(rng: np.random.Generator) -> tuple[list[Array], dict[str, AttributeValue]]:
    """Six maps in two groups, four outputs, a 3x2 kernel, unequal strides and pads."""
    code = ShiftCode(form="q", bits=5)
    packed = pack(code.encode(rng.standard_normal((4, 18)) / 4), code.width)
    x, scale, bias = (rng.standard_normal(size).astype(np.float32) for size in ((2, 6, 7, 8), 4, 4))
    attributes: dict[str, AttributeValue] = {
        "form": "q",
        "bits": 5,
        "activations": "float",
        "kernel_shape": (3, 2),
        "strides": (2, 1),
        "pads": (1, 0, 0, 1),
        "dilations": (1, 2),
        "group": 2,
    }
    return [x, packed, scale, bias], attributes
