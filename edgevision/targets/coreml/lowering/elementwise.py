"""Arithmetic, one MIL operation each; integer division and modulo follow C or Python as ONNX asks.

ONNX divides integers towards zero, MIL's `floor_div` towards minus infinity: `sign(a) sign(b) floor(|a| / |b|)`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from coremltools.converters.mil.mil import Builder as mb

from edgevision.targets.coreml.lowering.dtypes import as_type, is_float, like
from edgevision.targets.coreml.lowering.table import Call, MilVar, lowers

__all__: list[str] = []

Binary = Callable[..., MilVar]


def _binary(call: Call, build: Binary) -> MilVar:
    return build(x=call.var(0), y=call.var(1))


@lowers("Add")
def _add(call: Call) -> MilVar:
    return _binary(call, mb.add)


@lowers("Sub")
def _sub(call: Call) -> MilVar:
    return _binary(call, mb.sub)


@lowers("Mul")
def _mul(call: Call) -> MilVar:
    return _binary(call, mb.mul)


@lowers("Div")
def _div(call: Call) -> MilVar:
    x, y = call.var(0), call.var(1)
    if is_float(x):
        return mb.real_div(x=x, y=y)
    magnitude = mb.floor_div(x=mb.abs(x=x), y=mb.abs(x=y))
    return mb.mul(x=magnitude, y=mb.mul(x=mb.sign(x=x), y=mb.sign(x=y)))


@lowers("Mod")
def _mod(call: Call) -> MilVar:
    x, y = call.var(0), call.var(1)
    if not call.integer("fmod", 0):
        return mb.mod(x=x, y=y)
    return mb.mul(x=mb.mod(x=mb.abs(x=x), y=mb.abs(x=y)), y=mb.sign(x=x))


@lowers("Pow")
def _pow(call: Call) -> MilVar:
    x, y, exponent = call.var(0), call.var(1), call.known(1)
    if exponent is not None and exponent.size == 1 and float(exponent.reshape(())) == 2.0:
        return mb.mul(x=x, y=x)
    if is_float(x):
        return mb.pow(x=x, y=mb.cast(x=y, dtype="fp32") if not is_float(y) else y)
    if is_float(y):
        raise call.refuse("an integer base with a float exponent", "cast the base to float and round the result")
    return mb.pow(x=x, y=y)


def _fold_left(call: Call, build: Binary) -> MilVar:
    return reduce(lambda a, b: build(x=a, y=b), call.vars())


@lowers("Sum")
def _sum(call: Call) -> MilVar:
    return mb.identity(x=call.var(0)) if len(call.inputs) == 1 else _fold_left(call, mb.add)


@lowers("Mean")
def _mean(call: Call) -> MilVar:
    total = _sum(call)
    return mb.real_div(x=total, y=like(total, len(call.inputs)))


@lowers("Max")
def _max(call: Call) -> MilVar:
    return mb.identity(x=call.var(0)) if len(call.inputs) == 1 else _fold_left(call, mb.maximum)


@lowers("Min")
def _min(call: Call) -> MilVar:
    return mb.identity(x=call.var(0)) if len(call.inputs) == 1 else _fold_left(call, mb.minimum)


@lowers("Neg")
def _neg(call: Call) -> MilVar:
    x = call.var(0)
    return mb.mul(x=x, y=like(x, -1))


@lowers("Reciprocal")
def _reciprocal(call: Call) -> MilVar:
    x = call.var(0)
    return mb.real_div(x=like(x, 1), y=x)


@lowers("Log")
def _log(call: Call) -> MilVar:
    x = call.var(0)
    return mb.log(x=x, epsilon=like(x, 0))


_UNARY: dict[str, Binary] = {
    "Abs": mb.abs,
    "Acos": mb.acos,
    "Asin": mb.asin,
    "Atan": mb.atan,
    "Atanh": mb.atanh,
    "Ceil": mb.ceil,
    "Cos": mb.cos,
    "Cosh": mb.cosh,
    "Erf": mb.erf,
    "Exp": mb.exp,
    "Floor": mb.floor,
    "Round": mb.round,
    "Sign": mb.sign,
    "Sin": mb.sin,
    "Sinh": mb.sinh,
    "Sqrt": mb.sqrt,
    "Tan": mb.tan,
}


@lowers(*_UNARY)
def _unary(call: Call) -> MilVar:
    return _UNARY[call.node.op_type](x=call.var(0))


@lowers("Acosh")
def _acosh(call: Call) -> MilVar:
    # acosh(x) = log(x + sqrt(x^2 - 1))
    x = call.var(0)
    root = mb.sqrt(x=mb.sub(x=mb.mul(x=x, y=x), y=like(x, 1)))
    return mb.log(x=mb.add(x=x, y=root), epsilon=like(x, 0))


@lowers("Asinh")
def _asinh(call: Call) -> MilVar:
    # asinh(x) = sign(x) log(|x| + sqrt(x^2 + 1)): the sign outside keeps large negative x from cancelling.
    x = call.var(0)
    magnitude = mb.abs(x=x)
    root = mb.sqrt(x=mb.add(x=mb.mul(x=x, y=x), y=like(x, 1)))
    return mb.mul(x=mb.sign(x=x), y=mb.log(x=mb.add(x=magnitude, y=root), epsilon=like(x, 0)))


@lowers("Clip")
def _clip(call: Call) -> MilVar:
    # As ONNX defines it, min(max(x, low), high): `clip` itself takes only constant floats.
    x = call.var(0)
    if call.given(1):
        x = mb.maximum(x=x, y=call.var(1))
    if call.given(2):
        x = mb.minimum(x=x, y=call.var(2))
    return mb.identity(x=x) if x is call.inputs[0] else x


@lowers("BitwiseNot")
def _bitwise_not(call: Call) -> MilVar:
    # Two's complement: ~x = -x - 1, whatever the width; unsigned types would wrap.
    x = call.var(0)
    value = call.node.inputs[0]
    if value is None or value.dtype is None or value.dtype.name.startswith("UINT"):
        raise call.refuse("MIL has no bitwise operations", "use a signed integer type")
    return mb.sub(x=mb.mul(x=as_type(x, "int32"), y=like(x, -1)), y=like(x, 1))
