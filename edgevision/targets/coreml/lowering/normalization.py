"""Normalizations: MIL's own where its parameters are constants, else the formula."""

from __future__ import annotations

from math import prod
from typing import Any

from coremltools.converters.mil.mil import Builder as mb

from edgevision.targets.coreml.lowering.dtypes import as_type, like, numpy_type
from edgevision.targets.coreml.lowering.table import Array, Call, MilVar, lowers

__all__: list[str] = []


@lowers("BatchNormalization")
def _batch_norm(call: Call) -> MilVar:
    # y = (x - mean) / sqrt(var + eps) * scale + bias
    if call.integer("training_mode", 0):
        raise call.refuse("it would update its statistics", "export in eval mode", attribute="training_mode")
    x, epsilon = call.var(0), call.number("epsilon", 1e-5)
    gamma, beta, mean, variance = (call.known(index) for index in range(1, 5))
    dtype = numpy_type(x)
    known = [p for p in (gamma, beta, mean, variance) if p is not None]
    if len(known) == 4 and 3 <= x.rank <= 5:
        scale, bias, centre, spread = (p.astype(dtype) for p in known)
        return mb.batch_norm(x=x, mean=centre, variance=spread, gamma=scale, beta=bias, epsilon=like(x, epsilon))
    shape = [1, -1, *[1] * (x.rank - 2)]
    scale, bias, centre, spread = (
        mb.reshape(x=call.var(index), shape=shape) if x.rank > 1 else call.var(index) for index in range(1, 5)
    )
    root = mb.sqrt(x=mb.add(x=spread, y=like(x, epsilon)))
    return mb.add(x=mb.mul(x=mb.real_div(x=mb.sub(x=x, y=centre), y=root), y=scale), y=bias)


def _standardised(x: MilVar, axes: list[int], epsilon: float) -> tuple[MilVar, MilVar, MilVar]:
    """(x - mean) / sqrt(var + eps), mean, 1 / sqrt(var + eps) over `axes`."""
    mean = mb.reduce_mean(x=x, axes=axes, keep_dims=True)
    centred = mb.sub(x=x, y=mean)
    variance = mb.reduce_mean(x=mb.mul(x=centred, y=centred), axes=axes, keep_dims=True)
    inverse = mb.rsqrt(x=variance, epsilon=like(x, epsilon))
    return mb.mul(x=centred, y=inverse), mean, inverse


@lowers("InstanceNormalization")
def _instance_norm(call: Call) -> MilVar:
    x, epsilon = call.var(0), call.number("epsilon", 1e-5)
    gamma, beta = call.known(1), call.known(2)
    if gamma is not None and beta is not None and x.rank in (3, 4):
        return mb.instance_norm(x=x, gamma=gamma, beta=beta, epsilon=like(x, epsilon))
    standard, _, _ = _standardised(x, list(range(2, x.rank)), epsilon)
    return _scaled(standard, call.var(1), call.var(2), [1, -1, *[1] * (x.rank - 2)])


def _scaled(x: MilVar, gamma: Any, beta: Any, shape: list[int]) -> MilVar:
    y = mb.mul(x=x, y=mb.reshape(x=gamma, shape=shape))
    return y if beta is None else mb.add(x=y, y=mb.reshape(x=beta, shape=shape))


@lowers("LayerNormalization")
def _layer_norm(call: Call) -> MilVar | list[MilVar]:
    x, epsilon = call.var(0), call.number("epsilon", 1e-5)
    first = call.axis("axis", -1, x.rank)
    axes = list(range(first, x.rank))
    gamma, beta = call.known(1), call.known(2)
    plain = len(call.node.outputs) == 1 and call.integer("stash_type", 1) == 1
    if plain and gamma is not None and (beta is not None or not call.given(2)):
        return _mil_layer_norm(x, axes, gamma, beta, epsilon)
    standard, mean, inverse = _standardised(x, axes, epsilon)
    y = mb.mul(x=standard, y=call.var(1))
    y = mb.add(x=y, y=call.var(2)) if call.given(2) else y
    return [y, mean, inverse]


def _mil_layer_norm(x: MilVar, axes: list[int], gamma: Array, beta: Array | None, epsilon: float) -> MilVar:
    shape = tuple(x.shape[axis] for axis in axes)
    if gamma.shape != shape or (beta is not None and beta.shape != shape):
        y = mb.mul(x=mb.layer_norm(x=x, axes=axes, epsilon=like(x, epsilon)), y=gamma)
        return y if beta is None else mb.add(x=y, y=beta)
    if beta is None:
        return mb.layer_norm(x=x, axes=axes, gamma=gamma, epsilon=like(x, epsilon))
    return mb.layer_norm(x=x, axes=axes, gamma=gamma, beta=beta, epsilon=like(x, epsilon))


@lowers("GroupNormalization")
def _group_norm(call: Call) -> MilVar:
    x, groups = call.var(0), call.integer("num_groups", 1)
    batch, channels = x.shape[:2]
    flat = mb.reshape(x=x, shape=[batch, groups, prod(x.shape[1:]) // groups])
    standard = mb.layer_norm(x=flat, axes=[2], epsilon=like(x, call.number("epsilon", 1e-5)))
    per_channel = [1, -1, *[1] * (x.rank - 2)]
    if call.var(1).shape[0] == channels:
        return _scaled(mb.reshape(x=standard, shape=list(x.shape)), call.var(1), call.var(2), per_channel)
    scaled = _scaled(standard, call.var(1), call.var(2), [1, -1, 1])  # before opset 21: one scale a group
    return mb.reshape(x=scaled, shape=list(x.shape))


@lowers("LRN")
def _local_response_norm(call: Call) -> MilVar:
    x = call.var(0)
    return mb.local_response_norm(
        x=x,
        size=call.integer("size", 1),
        alpha=like(x, call.number("alpha", 1e-4)),
        beta=like(x, call.number("beta", 0.75)),
        k=like(x, call.number("bias", 1.0)),
    )


@lowers("LpNormalization")
def _lp_normalization(call: Call) -> MilVar:
    # x / ||x||_p, and 0 where the norm is 0
    x = call.var(0)
    axis = call.axis("axis", -1, x.rank)
    reduce = mb.reduce_l1_norm if call.integer("p", 2) == 1 else mb.reduce_l2_norm
    norm = reduce(x=x, axes=[axis], keep_dims=True)
    silent = as_type(mb.equal(x=norm, y=like(x, 0)), "fp16" if numpy_type(x)().itemsize == 2 else "fp32")
    return mb.real_div(x=x, y=mb.add(x=norm, y=silent))
