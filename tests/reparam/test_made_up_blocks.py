"""Blocks that nobody has designed, under random names: each merges and is equal, or is declined with the right reason."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from net import Net, anonymise, merged, ops

PRICE = "times as much as apart"
#: What may be drawn that must not merge, and what is said of it.
UNCOUNTED = "does not count its padding"
CEILING = "rounds its output size up"
WATCHED = "also read by"


@dataclass
class Block:
    """A block with its outputs, and the reasons for which a part of it may stay."""

    net: Net
    outputs: list[ir.Value] = field(default_factory=list)
    reasons: set[str] = field(default_factory=lambda: {PRICE})
    drawn: set[object] = field(default_factory=set)

    def repeats(self, *signature: object) -> bool:
        """Whether such an operator has been drawn before: equal ones are one to the tidying, which others then see."""
        known = signature in self.drawn
        self.drawn.add(signature)
        return known


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Branches of one map whose outputs agree in size: convolutions, pools, norms, chains of these, the map itself.

    Some convolutions share their weights; now and then somebody else reads a branch too.
    """
    block = Block(Net(seed=draw(st.integers(0, 10**6))))
    net = block.net
    axes, stride = draw(st.sampled_from([1, 2, 2, 2, 3])), draw(st.integers(1, 3))
    channels = draw(st.sampled_from([2, 4, 6]))
    x = net.input(1, channels, *(draw(st.integers(9, 13)) for _ in range(axes)))
    kinds = ["conv", "conv", "pool", "norm", "affine", "identity"] if stride == 1 else ["conv", "conv", "pool"]
    weights: dict[tuple[int, ...], ir.Value] = {}
    branches = [conv(draw, block, x, channels, axes, stride, weights)]
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(kinds))
        if kind == "conv":
            branches.append(conv(draw, block, x, channels, axes, stride, weights))
        elif kind == "pool":
            branches.append(pool(draw, block, x, channels, axes, stride))
        elif kind == "affine":
            scaled = net.op("Mul", x, net.weight(channels, *(1,) * axes))
            branches.append(net.op("Add", scaled, net.weight(channels, *(1,) * axes)))
        else:
            branches.append(net.norm(x, channels) if kind == "norm" else x)
    total = added(draw, net, list(branches))
    block.outputs.append(net.op("Relu", net.norm(total, channels) if draw(st.booleans()) else total))
    if draw(st.integers(0, 9)) == 0:
        block.reasons.add(WATCHED)
        block.outputs.append(net.op("Neg", draw(st.sampled_from(branches))))
    return block


def geometry(draw: st.DrawFn, axes: int, stride: int, *, dilated: bool) -> dict[str, list[int]]:
    """A kernel that leaves the map its size (or divides it by the stride), its padding at either end."""
    kernel = [draw(st.integers(1, 4)) for _ in range(axes)]
    dilations = [draw(st.integers(1, 3)) if dilated else 1 for _ in range(axes)]
    reach = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
    low = [
        draw(st.integers(0, r if dilated else min(r, k - 1))) for r, k in zip(reach, kernel, strict=True)
    ]  # a pool's padding is smaller than its kernel
    pads = [*low, *(r - b for r, b in zip(reach, low, strict=True))]
    return {"kernel_shape": kernel, "dilations": dilations, "pads": pads, "strides": [stride] * axes}


def conv(
    draw: st.DrawFn,
    block: Block,
    x: ir.Value,
    channels: int,
    axes: int,
    stride: int,
    weights: dict[tuple[int, ...], ir.Value],
) -> ir.Value:
    net, attributes = block.net, geometry(draw, axes, stride, dilated=True)
    groups = draw(st.sampled_from([g for g in (1, 2, channels) if channels % g == 0]))
    shape = (channels, channels // groups, *attributes["kernel_shape"])
    weight = weights.get(shape) if draw(st.booleans()) else None
    if weight is not None and block.repeats(id(weight), str(attributes)):
        weight = None
    if weight is None:
        weight = weights[shape] = net.weight(*shape)
        block.repeats(id(weight), str(attributes))
    operands = [weight, net.weight(channels)] if draw(st.booleans()) else [weight]
    y = net.op("Conv", x, *operands, group=groups, **attributes)
    return net.norm(y, channels) if draw(st.booleans()) else y


def pool(draw: st.DrawFn, block: Block, x: ir.Value, channels: int, axes: int, stride: int) -> ir.Value:
    attributes: dict[str, object] = dict(geometry(draw, axes, stride, dilated=False))
    del attributes["dilations"]
    counted, ceiling = draw(st.integers(0, 5)) > 0, draw(st.integers(0, 9)) == 0 and stride == 1
    if block.repeats(str(attributes), counted):
        return conv(draw, block, x, channels, axes, stride, {})
    if not counted and any(attributes["pads"]):  # type: ignore[call-overload]
        block.reasons.add(UNCOUNTED)
    if ceiling:
        block.reasons.add(CEILING)
        attributes["ceil_mode"] = 1
    y = block.net.op("AveragePool", x, count_include_pad=int(counted), **attributes)
    return block.net.norm(y, channels) if draw(st.booleans()) else y


def added(draw: st.DrawFn, net: Net, values: list[ir.Value]) -> ir.Value:
    """The values added up, nested in any way."""
    while len(values) > 1:
        first = values.pop(draw(st.integers(0, len(values) - 1)))
        second = values.pop(draw(st.integers(0, len(values) - 1)))
        values.append(net.op(draw(st.sampled_from(["Add", "Add", "Sub", "Sum"])), first, second))
    return values[0]


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(block=blocks(), seed=st.integers(0, 10**6))
def test_made_up_blocks_merge_or_say_why_not(block: Block, seed: int) -> None:
    model = block.net.model(*block.outputs)
    anonymise(model, seed)
    result = merged(model)
    said = {reason for row in result.declined for reason in block.reasons if reason in row.reason}
    assert all(any(reason in row.reason for reason in block.reasons) for row in result.declined), result.declined
    left = ops(result.model)
    linear = sum(left[kind] for kind in ("Conv", "AveragePool", "BatchNormalization", "Mul", "Add", "Sub", "Sum"))
    assert linear <= 1 or said
