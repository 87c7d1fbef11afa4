"""Cast. Floats go to integers by truncation in both standards; narrow integers are held in int32 (see `dtypes`)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from edgevision.targets.coreml.lowering.dtypes import held_type
from edgevision.targets.coreml.lowering.table import Bound, Call, lowers

__all__ = ["cast_to"]

_NARROW = {
    ir.DataType.INT8: (-128, 127),
    ir.DataType.UINT8: (0, 255),
    ir.DataType.INT16: (-32768, 32767),
    ir.DataType.UINT16: (0, 65535),
}


@lowers("Cast", "CastLike")
def cast_to(call: Call) -> Bound:
    """The cast to the output's element type."""
    wanted, known = _wanted(call), call.known(0)
    if known is not None:  # a constant cast like something computed
        return known.astype(wanted.numpy())
    x = call.var(0)
    held = held_type(wanted, call.what)
    source = call.node.inputs[0]
    have = types.builtin_to_string(x.dtype)
    if wanted in _NARROW and source is not None and source.dtype not in (wanted, ir.DataType.BOOL):
        raise call.refuse(
            f"a cast to {wanted.name.lower()} wraps values outside {_NARROW[wanted]}",
            "cast to int32, or quantize with QuantizeLinear",
            attribute="to",
        )
    if have == held:
        return mb.identity(x=x)
    if held == "bool":
        return mb.not_equal(
            x=x, y=np.float32(0) if have == "fp32" else np.float16(0) if have == "fp16" else np.int32(0)
        )
    return mb.cast(x=x, dtype=held)


def _wanted(call: Call) -> ir.DataType:
    if call.node.op_type == "Cast":
        return ir.DataType(call.integer("to", 1))
    target = call.node.inputs[1]
    if target is not None and target.dtype is not None:
        return target.dtype
    known = call.known(1)
    if known is not None:
        return ir.DataType.from_numpy(known.dtype)
    by_name = {"fp32": ir.DataType.FLOAT, "fp16": ir.DataType.FLOAT16, "bool": ir.DataType.BOOL}
    return by_name.get(types.builtin_to_string(call.var(1).dtype), ir.DataType.INT32)
