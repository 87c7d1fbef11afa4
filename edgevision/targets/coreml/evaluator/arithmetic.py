"""Elementwise operations, comparisons, casts and activations."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from edgevision.targets.coreml.evaluator.semantics import Arguments, computes

__all__: list[str] = []

Tensor = torch.Tensor

_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "acos": torch.acos,
    "asin": torch.asin,
    "atan": torch.atan,
    "atanh": torch.atanh,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "cosh": torch.cosh,
    "erf": torch.erf,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "floor": torch.floor,
    "identity": torch.clone,
    "logical_not": torch.logical_not,
    "relu": torch.relu,
    "relu6": lambda x: x.clamp(0, 6),
    "round": torch.round,
    "sigmoid": torch.sigmoid,
    "sign": torch.sign,
    "silu": F.silu,
    "sin": torch.sin,
    "sinh": torch.sinh,
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "softsign": F.softsign,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "tan": torch.tan,
    "tanh": torch.tanh,
}
_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "equal": torch.eq,
    "floor_div": lambda x, y: torch.div(x, y, rounding_mode="floor"),
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "mod": torch.remainder,
    "mul": torch.mul,
    "not_equal": torch.ne,
    "pow": torch.pow,
    "real_div": torch.div,
    "sub": torch.sub,
}


@computes(*_UNARY)
def _unary(op: Arguments) -> Tensor:
    return _UNARY[op.operation.kind](op.tensor("x"))


@computes(*_BINARY)
def _binary(op: Arguments) -> Tensor:
    return _BINARY[op.operation.kind](op.tensor("x"), op.tensor("y"))


@computes("log")
def _log(op: Arguments) -> Tensor:
    return torch.log(op.tensor("x") + op.number("epsilon", 1e-45))


@computes("rsqrt")
def _rsqrt(op: Arguments) -> Tensor:
    return torch.rsqrt(op.tensor("x") + op.number("epsilon", 1e-12))


@computes("inverse")
def _inverse(op: Arguments) -> Tensor:
    return 1 / (op.tensor("x") + op.number("epsilon", 1e-4))


@computes("clip")
def _clip(op: Arguments) -> Tensor:
    return op.tensor("x").clamp(op.number("alpha", 0), op.number("beta", 1))


@computes("threshold")
def _threshold(op: Arguments) -> Tensor:
    return op.tensor("x").clamp_min(op.number("alpha", 0))


@computes("select")
def _select(op: Arguments) -> Tensor:
    return torch.where(op.tensor("cond"), op.tensor("a"), op.tensor("b"))


_DTYPES = {
    "fp16": torch.float16,
    "fp32": torch.float32,
    "int32": torch.int32,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "int16": torch.int16,
    "uint16": torch.int32,
    "bool": torch.bool,
}


@computes("cast")
def _cast(op: Arguments) -> Tensor:
    return op.tensor("x").to(_DTYPES[op.text("dtype", "fp32")])


@computes("elu")
def _elu(op: Arguments) -> Tensor:
    return F.elu(op.tensor("x"), op.number("alpha", 1))


@computes("leaky_relu")
def _leaky_relu(op: Arguments) -> Tensor:
    return F.leaky_relu(op.tensor("x"), op.number("alpha", 0.01))


@computes("clamped_relu")
def _clamped_relu(op: Arguments) -> Tensor:
    return F.leaky_relu(op.tensor("x"), op.number("alpha", 0)).clamp_max(op.number("beta", 1))


@computes("thresholded_relu")
def _thresholded_relu(op: Arguments) -> Tensor:
    x = op.tensor("x")
    return torch.where(x >= op.number("alpha", 1), x, torch.zeros_like(x))


@computes("prelu")
def _prelu(op: Arguments) -> Tensor:
    return F.prelu(op.tensor("x"), op.tensor("alpha"))


@computes("sigmoid_hard")
def _sigmoid_hard(op: Arguments) -> Tensor:
    return (op.tensor("x") * op.number("alpha", 0.2) + op.number("beta", 0.5)).clamp(0, 1)


@computes("scaled_tanh")
def _scaled_tanh(op: Arguments) -> Tensor:
    return op.number("alpha", 1) * torch.tanh(op.tensor("x") * op.number("beta", 1))


@computes("linear_activation")
def _linear_activation(op: Arguments) -> Tensor:
    return op.tensor("x") * op.number("alpha", 1) + op.number("beta", 0)


@computes("softplus_parametric")
def _softplus_parametric(op: Arguments) -> Tensor:
    x = op.tensor("x")
    shape = [1, -1, *[1] * (x.ndim - 2)]
    scaled = x * op.tensor("beta").reshape(shape)
    return op.tensor("alpha").reshape(shape) * torch.logaddexp(scaled, torch.zeros_like(scaled))


@computes("gelu")
def _gelu(op: Arguments) -> Tensor:
    x, mode = op.tensor("x"), op.text("mode", "EXACT")
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate="none" if mode == "EXACT" else "tanh")


@computes("softmax")
def _softmax(op: Arguments) -> Tensor:
    return torch.softmax(op.tensor("x"), op.integer("axis", -1))
