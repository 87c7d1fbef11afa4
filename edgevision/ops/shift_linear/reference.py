"""The shift linear layer as its definition reads: one signed shift after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgevision.ops.bit_packing import pack, unpack
from edgevision.ops.fixed_point import ONE, check_activations, to_fixed, to_integer, wrapped
from edgevision.ops.shift_code import NO_SHIFT, ShiftCode
from edgevision.ops.shift_linear.schema import NAME

if TYPE_CHECKING:
    from edgevision.ops.operator import Array, AttributeValue

__all__ = ["code_of", "example", "finished", "reference"]


def code_of(attributes: Mapping[str, AttributeValue]) -> ShiftCode:
    """The code that a node's attributes name."""
    return ShiftCode(form=str(attributes.get("form", "ps")), bits=int(str(attributes.get("bits", 5))))


def reference(inputs: Sequence[Array | None], attributes: Mapping[str, AttributeValue]) -> list[Array]:
    """The layer: y = scale · (W x) + bias with W = sign · 2^-shift; float64, or 32-bit integers for `int32`."""
    x, packed, scale, bias = (*inputs, None, None)[:4]
    assert x is not None
    assert packed is not None
    code, activations = code_of(attributes), str(attributes.get("activations", "float"))
    check_activations(NAME, activations)
    codes = unpack(np.asarray(packed, np.uint8), code.width, x.shape[-1])
    rows = np.asarray(x, np.float64).reshape(-1, x.shape[-1])
    if activations == "int32":
        y = _integer(rows, codes, code, scale, bias)
    else:
        fixed = activations == "fixed"
        y = (to_fixed(rows) if fixed else rows) @ code.decode(codes).T
        y = y if scale is None else y * np.asarray(scale, np.float64)
        if bias is not None:
            addend = to_fixed(bias) if fixed else np.asarray(bias, np.float64)
            y = np.asarray(y + addend)
    return [np.asarray(y.reshape(*x.shape[:-1], len(codes)))]


def _integer(
    rows: NDArray[np.float64], codes: NDArray[np.uint8], code: ShiftCode, scale: Array | None, bias: Array | None
) -> NDArray[np.float64]:
    integers, t = to_integer(rows)[:, None, :], code.terms
    products = np.zeros((len(rows), *codes.shape), np.int64)
    for shifts in (t.first[codes], t.second[codes]):
        products += np.where(shifts == NO_SHIFT, 0, t.sign[codes] * (integers >> shifts.clip(0, 63)))
    return finished(products.sum(-1), scale, bias)


def finished(total: NDArray[np.int64], scale: Array | None, bias: Array | None) -> NDArray[np.float64]:
    """Sums of shifted integers as 32 bits hold them, then scale and bias; without a scale the bias is part of the sum."""
    addend = 0 if bias is None else to_integer(np.asarray(bias))
    if scale is None:
        return np.asarray(wrapped(total + addend) / ONE)
    return np.asarray(wrapped(total) / ONE * np.asarray(scale, np.float64) + addend / ONE)


def example(rng: np.random.Generator) -> tuple[list[Array], dict[str, AttributeValue]]:
    """Two rows of three tokens, eleven inputs, five outputs."""
    code = ShiftCode(form="ps", bits=5)
    packed = pack(code.encode(rng.standard_normal((5, 11)) / 4), code.width)
    x, scale, bias = (rng.standard_normal(size).astype(np.float32) for size in ((2, 3, 11), 5, 5))
    return [x, packed, scale, bias], {"form": "ps", "bits": 5, "activations": "float"}
