"""One linear shift-invariant operator after another, as one.

    taps       t = d1 t1 + s1 d2 t2          weight[t] = sum over the ways to reach t of W2[t2] W1[t1]
    stride     s1 s2                         begin     = b1 + s1 b2
    bias       b2 + sum over taps of W2 b1

The second operator may pad with zeros only where the first would give zeros outside its map: a 1x1 of stride 1 without
bias and padding. Otherwise the border differs, and the composition is declined.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from edgevision.reparam.conv_kernel import ConvKernel
from edgevision.reparam.matching import Decline, Floats

__all__ = ["compose", "composed_frame"]


def compose(second: ConvKernel, first: ConvKernel) -> ConvKernel:
    """The operator x -> second(first(x)).

    Raises:
        Decline: as `composed_frame`.
    """
    frame = composed_frame(second, first)
    weight = _weight(second, first, frame)
    return replace(frame, weight=weight, bias=second.bias + _through(second, first.bias))


def composed_frame(second: ConvKernel, first: ConvKernel) -> ConvKernel:
    """The composition with every weight 0, for its price: it takes no memory.

    Raises:
        Decline: the second pads with zeros what the first does not leave zero, or one of them is transposed.
    """
    if first.transposed or second.transposed:
        raise Decline("a ConvTranspose is not composed with what comes before or behind it")
    if any(second.begin) or any(second.end):
        if first.bias.any():
            raise Decline("the second operator pads with zeros, the first has a bias: the border would change")
        if any(k > 1 for k in first.taps) or any(s > 1 for s in first.strides) or any(first.begin) or any(first.end):
            raise Decline("the second operator pads with zeros a map that is not zero outside: the border would change")
    axes = range(len(first.strides))
    offsets = [sorted({a + first.strides[i] * b for a in first.offsets(i) for b in second.offsets(i)}) for i in axes]
    dilations = tuple(
        reduce(math.gcd, (b - a for a, b in itertools.pairwise(offsets[i]))) if len(offsets[i]) > 1 else 1 for i in axes
    )
    begin = tuple(-offsets[i][0] for i in axes)
    taps = tuple((offsets[i][-1] - offsets[i][0]) // dilations[i] + 1 for i in axes)
    end = tuple(
        first.end[i] + first.strides[i] * second.end[i] for i in axes
    )  # only one of the two pads: what the first leaves over, the second does not read
    groups = math.gcd(first.groups, second.groups)
    return ConvKernel(
        weight=np.broadcast_to(0.0, (second.outputs, first.inputs // groups, *taps)),
        bias=np.broadcast_to(0.0, (second.outputs,)),
        groups=groups,
        strides=tuple(first.strides[i] * second.strides[i] for i in axes),
        dilations=dilations,
        begin=begin,
        end=end,
    )


def _weight(second: ConvKernel, first: ConvKernel, frame: ConvKernel) -> Floats:
    outer, inner = _grouped(second, frame.groups), _grouped(first, frame.groups)
    weight = np.zeros((frame.groups, outer.shape[1], inner.shape[2], *frame.taps))
    steps = [(s * d2, d1) for s, d2, d1 in zip(first.strides, second.dilations, first.dilations, strict=True)]
    for later in itertools.product(*(range(k) for k in second.taps)):
        for sooner in itertools.product(*(range(k) for k in first.taps)):
            where: tuple[Any, ...] = (
                ...,
                *(
                    (far * t2 + near * t1) // d
                    for (far, near), t2, t1, d in zip(steps, later, sooner, frame.dilations, strict=True)
                ),
            )
            weight[where] += _at(outer, later) @ _at(inner, sooner)
    return weight.reshape(frame.weight.shape)


def _at(weight: Floats, tap: tuple[int, ...]) -> Floats:
    index: tuple[Any, ...] = (..., *tap)
    result: Floats = weight[index]
    return result


def _grouped(kernel: ConvKernel, groups: int) -> Floats:
    """The weight as [groups, out/groups, in/groups, *taps] for a number of groups that divides the kernel's own."""
    fold, out, channels = kernel.groups // groups, kernel.outputs // kernel.groups, kernel.weight.shape[1]
    if fold == 1:
        return kernel.weight.reshape(groups, out, channels, *kernel.taps)
    dense = np.zeros((groups, fold, out, fold, channels, *kernel.taps))
    finer = kernel.weight.reshape(groups, fold, out, channels, *kernel.taps)
    for block in range(fold):
        dense[:, block, :, block] = finer[:, block]
    return dense.reshape(groups, fold * out, fold * channels, *kernel.taps)


def _through(kernel: ConvKernel, constant: Floats) -> Floats:
    """What a map of constants, one a channel, becomes far from the border."""
    summed = kernel.weight.sum(axis=tuple(range(2, kernel.weight.ndim)))
    outer = summed.reshape(kernel.groups, -1, kernel.weight.shape[1])
    result: Floats = (outer @ constant.reshape(kernel.groups, -1, 1)).reshape(-1)
    return result
