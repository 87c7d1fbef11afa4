"""ONNX element types as MIL holds them.

MIL computes in fp16, fp32, int32 and bool. Integers of other widths travel as int32 where their values fit (a constant
beyond int32 is an error, never wrapped); 8-bit integers exist as such only between `quantize` and `dequantize`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types
from numpy.typing import NDArray

from edgevision.errors import GraphError

__all__ = ["as_type", "constant", "held_type", "is_float", "like", "materialise", "mil_type", "numpy_type", "type_name"]

_INT32 = np.iinfo(np.int32)
_HELD = {
    ir.DataType.FLOAT: "fp32",
    ir.DataType.FLOAT16: "fp16",
    ir.DataType.BOOL: "bool",
    ir.DataType.INT8: "int32",
    ir.DataType.INT16: "int32",
    ir.DataType.INT32: "int32",
    ir.DataType.INT64: "int32",
    ir.DataType.UINT8: "int32",
    ir.DataType.UINT16: "int32",
}
_MIL = {"fp32": types.fp32, "fp16": types.fp16, "bool": types.bool, "int32": types.int32}
_NUMPY: dict[str, Any] = {
    "fp32": np.float32,
    "fp16": np.float16,
    "bool": np.bool_,
    "int32": np.int32,
    "int8": np.int8,
    "uint8": np.uint8,
}


def held_type(dtype: ir.DataType | None, thing: str) -> str:
    """The MIL type name (`fp32`, `fp16`, `int32`, `bool`) that holds an ONNX element type."""
    if dtype is None or dtype not in _HELD:
        name = "unknown" if dtype is None else dtype.name.lower()
        raise GraphError(
            thing,
            f"Core ML cannot express element type {name}",
            "cast to float32 (or int32) before exporting",
        )
    return _HELD[dtype]


def mil_type(name: str) -> Any:
    """The coremltools type object of a MIL type name."""
    return _MIL[name]


def type_name(var: Any) -> str:
    """The MIL type name of a variable's elements."""
    return str(types.builtin_to_string(var.dtype))


def numpy_type(var: Any) -> Any:
    """The numpy scalar type of a MIL variable's elements."""
    return _NUMPY[type_name(var)]


def constant(array: NDArray[Any], thing: str) -> NDArray[Any]:
    """`array` in the element type MIL holds it in; GraphError where a value does not fit."""
    if array.dtype in (np.float32, np.float16, np.int32, np.bool_):
        return array
    if not np.issubdtype(array.dtype, np.integer):
        raise GraphError(
            thing, f"Core ML cannot express constants of type {array.dtype}", "cast to float32 before exporting"
        )
    if array.size and (array.min() < _INT32.min or array.max() > _INT32.max):
        worst = array.reshape(-1)[np.argmax(np.abs(array.astype(np.float64)))]
        raise GraphError(
            thing,
            f"holds {worst}, and Core ML's integers have 32 bits",
            "keep integer constants within int32 (slice ends are clipped for you, other values are not)",
        )
    return array.astype(np.int32)


def materialise(array: NDArray[Any], thing: str) -> Any:
    """A MIL constant holding `array`."""
    return mb.const(val=constant(array, thing))


def as_type(x: Any, name: str) -> Any:
    """`x` cast to the MIL type `name`; `x` itself when it has it."""
    return x if type_name(x) == name else mb.cast(x=x, dtype=name)


def is_float(x: Any) -> bool:
    """Whether a MIL variable holds floats."""
    return type_name(x) in ("fp16", "fp32")


def like(x: Any, value: float) -> Any:
    """A numpy scalar with the element type of the MIL variable `x`."""
    return numpy_type(x)(value)
