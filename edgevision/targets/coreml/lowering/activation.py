"""Activations: MIL's own where it defines the same function, else the formula of the ONNX standard."""

from __future__ import annotations

from collections.abc import Callable

from coremltools.converters.mil.mil import Builder as mb

from edgevision.targets.coreml.lowering.dtypes import is_float, like
from edgevision.targets.coreml.lowering.table import Call, MilVar, lowers

__all__: list[str] = []

_PLAIN: dict[str, Callable[..., MilVar]] = {
    "Relu": mb.relu,
    "Sigmoid": mb.sigmoid,
    "Softplus": mb.softplus,
    "Softsign": mb.softsign,
    "Tanh": mb.tanh,
}


@lowers(*_PLAIN)
def _plain(call: Call) -> MilVar:
    x = call.var(0)
    if not is_float(x):
        return mb.maximum(x=x, y=like(x, 0))  # the one plain activation that ONNX defines for integers is Relu
    return _PLAIN[call.node.op_type](x=x)


@lowers("LeakyRelu")
def _leaky_relu(call: Call) -> MilVar:
    x = call.var(0)
    return mb.leaky_relu(x=x, alpha=like(x, call.number("alpha", 0.01)))


@lowers("Elu")
def _elu(call: Call) -> MilVar:
    x = call.var(0)
    return mb.elu(x=x, alpha=like(x, call.number("alpha", 1.0)))


@lowers("Selu")
def _selu(call: Call) -> MilVar:
    x = call.var(0)
    alpha, gamma = call.number("alpha", 1.67326319217681884765625), call.number("gamma", 1.05070102214813232421875)
    return mb.mul(x=mb.elu(x=x, alpha=like(x, alpha)), y=like(x, gamma))


@lowers("Celu")
def _celu(call: Call) -> MilVar:
    # alpha (exp(x / alpha) - 1) below zero: an ELU of slope alpha on x / alpha, times what is left over above zero.
    x, alpha = call.var(0), call.number("alpha", 1.0)
    scaled = mb.elu(x=mb.mul(x=x, y=like(x, 1.0 / alpha)), alpha=like(x, 1.0))
    return mb.mul(x=scaled, y=like(x, alpha))


@lowers("ThresholdedRelu")
def _thresholded_relu(call: Call) -> MilVar:
    # ONNX keeps x > alpha, MIL keeps x >= alpha: select decides the border as ONNX does.
    x = call.var(0)
    kept = mb.cast(x=mb.greater(x=x, y=like(x, call.number("alpha", 1.0))), dtype="fp32")
    return mb.mul(x=x, y=mb.cast(x=kept, dtype="fp16") if like(x, 0).dtype.itemsize == 2 else kept)


@lowers("HardSigmoid")
def _hard_sigmoid(call: Call) -> MilVar:
    x = call.var(0)
    return mb.sigmoid_hard(x=x, alpha=like(x, call.number("alpha", 0.2)), beta=like(x, call.number("beta", 0.5)))


@lowers("HardSwish")
def _hard_swish(call: Call) -> MilVar:
    x = call.var(0)
    return mb.mul(x=x, y=mb.sigmoid_hard(x=x, alpha=like(x, 1 / 6), beta=like(x, 0.5)))


@lowers("Swish")
def _swish(call: Call) -> MilVar:
    x, alpha = call.var(0), call.number("alpha", 1.0)
    if alpha == 1.0:
        return mb.silu(x=x)
    return mb.mul(x=x, y=mb.sigmoid(x=mb.mul(x=x, y=like(x, alpha))))


@lowers("Mish")
def _mish(call: Call) -> MilVar:
    x = call.var(0)
    return mb.mul(x=x, y=mb.tanh(x=mb.softplus(x=x)))


@lowers("Gelu")
def _gelu(call: Call) -> MilVar:
    mode = "TANH_APPROXIMATION" if call.text("approximate", "none") == "tanh" else "EXACT"
    return mb.gelu(x=call.var(0), mode=mode)


@lowers("PRelu")
def _prelu(call: Call) -> MilVar:
    # max(x, 0) + slope min(x, 0), with the slope broadcast as ONNX does; MIL's prelu knows per-channel slopes only.
    x, slope = call.var(0), call.known(1)
    channels = x.shape[1] if x.rank > 1 else 0
    per_channel = slope is not None and slope.size == channels and slope.shape[:1] == (channels,)
    if per_channel and slope is not None and slope.ndim == x.rank - 1 and is_float(x) and x.rank >= 3:
        return mb.prelu(x=x, alpha=slope.reshape(-1))
    zero = like(x, 0)
    return mb.add(x=mb.maximum(x=x, y=zero), y=mb.mul(x=call.var(1), y=mb.minimum(x=x, y=zero)))


@lowers("Softmax")
def _softmax(call: Call) -> MilVar:
    x = call.var(0)
    return mb.softmax(x=x, axis=call.axis("axis", -1, x.rank))


@lowers("LogSoftmax")
def _log_softmax(call: Call) -> MilVar:
    # x - max - log(sum(exp(x - max))): the logarithm of a softmax would lose what underflows in it.
    x = call.var(0)
    axis = call.axis("axis", -1, x.rank)
    centred = mb.sub(x=x, y=mb.reduce_max(x=x, axes=[axis], keep_dims=True))
    return mb.sub(x=centred, y=mb.reduce_log_sum_exp(x=centred, axes=[axis], keep_dims=True))


@lowers("Hardmax")
def _hardmax(call: Call) -> MilVar:
    x = call.var(0)
    axis = call.axis("axis", -1, x.rank)
    first = mb.reduce_argmax(x=x, axis=axis, keep_dims=False)
    one, zero = like(x, 1), like(x, 0)
    return mb.one_hot(indices=first, one_hot_vector_size=x.shape[axis], axis=axis, on_value=one, off_value=zero)


@lowers("Shrink")
def _shrink(call: Call) -> MilVar:
    # x + bias below -lambd, x - bias above lambd, 0 between.
    x, bias, border = call.var(0), call.number("bias", 0.0), call.number("lambd", 0.5)
    if not is_float(x):
        raise call.refuse("integers would be rounded towards zero", "cast to float32 first")
    dtype = "fp16" if like(x, 0).dtype.itemsize == 2 else "fp32"
    below = mb.cast(x=mb.less(x=x, y=like(x, -border)), dtype=dtype)
    above = mb.cast(x=mb.greater(x=x, y=like(x, border)), dtype=dtype)
    low = mb.mul(x=below, y=mb.add(x=x, y=like(x, bias)))
    return mb.add(x=low, y=mb.mul(x=above, y=mb.sub(x=x, y=like(x, bias))))
