"""Q/DQ: activations through `quantize` and `dequantize`, constant weights as `constexpr` operations.

MIL quantizes to int8 and uint8. Weights of 4 bits, and weights with one scale a block, need iOS 18.
A constant int32 (a bias in ONNX's Q/DQ form) is dequantized at conversion: it is tiny and MIL has no 32-bit form of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from edgevision.targets.coreml.lowering.dtypes import as_type, is_float, numpy_type
from edgevision.targets.coreml.lowering.table import Array, Bound, Call, MilVar, lowers

__all__: list[str] = []

_BYTES = ("int8", "uint8")
_NIBBLES = ("int4", "uint4")


def _parameters(call: Call) -> tuple[Array, Array | None]:
    scale = call.const(1, "scale")
    zero = call.const(2, "zero point") if call.given(2) else None
    return scale, zero


def _refuse_type(call: Call, name: str) -> Exception:
    return call.refuse(
        f"MIL quantizes to int8 and uint8 and has no {name} zero point or values",
        "quantize activations to int8 or uint8 (weights may also be int4 or uint4)",
        attribute="output_dtype",
    )


@lowers("QuantizeLinear")
def _quantize(call: Call) -> MilVar:
    x = call.var(0)
    scale, zero = _parameters(call)
    name = "uint8" if zero is None else str(zero.dtype)
    if zero is None and "output_dtype" in call.attributes:
        import onnx_ir as ir

        name = str(ir.DataType(call.integer("output_dtype", 2)).numpy())
    if name not in _BYTES:
        raise _refuse_type(call, name)
    if not is_float(x):
        raise call.refuse("MIL quantizes floats only", "cast to float32 first")
    options: dict[str, Any] = {"axis": call.axis("axis", 1, x.rank)} if _vector(call, scale) else {}
    scale = scale.reshape(-1) if options else scale.reshape(())
    if zero is not None and zero.any():
        options["zero_point"] = zero.reshape(scale.shape)
    return mb.quantize(input=x, scale=scale.astype(numpy_type(x)), output_dtype=name, **options)


def _vector(call: Call, scale: Array) -> bool:
    """Whether there is one scale a channel (True) or one for all (False)."""
    if scale.ndim > 1 or (call.integer("block_size", 0) and scale.ndim):
        raise call.refuse(
            "activations have no scale a block", "use one scale a tensor or a channel", attribute="block_size"
        )
    return scale.ndim == 1 and scale.size > 1


@lowers("DequantizeLinear")
def _dequantize(call: Call) -> Bound:
    scale, zero = _parameters(call)
    known = call.known(0)
    if known is not None:
        return _constant(call, known, scale, zero)
    x = call.var(0)
    name = types.builtin_to_string(x.dtype)
    if name not in _BYTES:
        return _arithmetic(call, x, scale, zero)
    options: dict[str, Any] = {"axis": call.axis("axis", 1, x.rank)} if _vector(call, scale) else {}
    scale = scale.reshape(-1) if options else scale.reshape(())
    if zero is not None and zero.any():
        options["zero_point"] = zero.reshape(scale.shape)
    return mb.dequantize(input=x, scale=scale, **options)


def _along(scale: Array, axis: int, rank: int) -> Array:
    return scale.reshape([-1 if a == axis else 1 for a in range(rank)]) if scale.ndim == 1 else scale


def _arithmetic(call: Call, x: MilVar, scale: Array, zero: Array | None) -> MilVar:
    """(x - zero) scale on integers that are held in int32; parameters are repeated for a block's elements."""
    axis, block = call.axis("axis", 1, x.rank), call.integer("block_size", 0)

    def spread(parameter: Array) -> Array:
        if block and parameter.ndim == x.rank:
            return np.repeat(parameter, block, axis).take(range(x.shape[axis]), axis)
        return _along(parameter, axis, x.rank) if parameter.size > 1 else parameter.reshape(())

    if zero is not None and zero.any():
        x = mb.sub(x=x, y=spread(zero.astype(np.int32)))
    held = "fp16" if scale.dtype == np.float16 else "fp32"
    return mb.mul(x=as_type(x, held), y=spread(scale))


def _constant(call: Call, data: Array, scale: Array, zero: Array | None) -> Bound:
    name, axis = str(data.dtype), call.axis("axis", 1, data.ndim)
    if name == "int32":
        factor = _along(scale, axis, data.ndim) if scale.size > 1 else scale.reshape(())
        shift = 0 if zero is None else _along(zero, axis, data.ndim) if zero.size > 1 else zero.reshape(())
        return np.asarray((data - shift) * factor, scale.dtype)
    if name not in (*_BYTES, *_NIBBLES):
        raise _refuse_type(call, name)
    block = call.integer("block_size", 0)
    if block or name in _NIBBLES:
        return _blockwise(data, scale, zero, axis)
    vector = scale.size > 1
    scale = scale.reshape(-1) if vector else scale.reshape(())
    shift = np.zeros(scale.shape, data.dtype) if zero is None else zero.reshape(scale.shape)
    return mb.constexpr_affine_dequantize(
        quantized_data=data, zero_point=shift, scale=scale, axis=axis if vector else 0
    )


def _blockwise(data: Array, scale: Array, zero: Array | None, axis: int) -> MilVar:
    """One scale a block of rows along `axis`; a scale a channel or a tensor is a block of the whole other axes."""
    if scale.ndim <= 1:
        scale = _along(scale, axis, data.ndim) if scale.size > 1 else scale.reshape([1] * data.ndim)
        zero = None if zero is None else zero.reshape(scale.shape)
    held = types.string_to_builtin(str(data.dtype))
    narrow = types.nptype_from_builtin(held)
    options = {"offset": zero.astype(np.int8).astype(narrow)} if zero is not None and zero.astype(np.int8).any() else {}
    return mb.constexpr_blockwise_shift_scale(data=data.astype(np.int8).astype(narrow), scale=scale, **options)
