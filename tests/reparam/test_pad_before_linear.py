"""Zeros from a Pad become a convolution's own padding, and nothing but zeros does."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from net import Net, merged, ops, reasons

from edgevision.reparam import reparameterize

LEFT_MOST = [0, 0, 0, 1, 0, 0, 2, 3]  # [N, C, H, W]: nothing above, one at the left, two below, three at the right


def padded(net: Net, x: ir.Value, amounts: list[int], *filling: ir.Value, **attributes: object) -> ir.Value:
    return net.op("Pad", x, net.weight(values=np.array(amounts, np.int64)), *filling, **attributes)


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("own", [{}, {"pads": [1, 2, 0, 1]}, {"auto_pad": "SAME_LOWER"}])
def test_zeros_go_into_the_convolution(own: dict[str, object], filled: bool) -> None:
    net = Net()
    zero = [net.weight(values=np.array(0, np.float32))] if filled else []
    y = net.conv(padded(net, net.input(1, 4, 8, 9), LEFT_MOST, *zero), 4, 4, 3, 3, strides=[2, 2], **own)
    result = merged(net.model(y))
    assert ops(result.model) == {"Conv": 1}
    (row,) = result.applied
    assert row.equation == "pad_before_linear"
    assert (row.params_before, row.params_after) == (4 * 4 * 9 + 4 + filled, 4 * 4 * 9 + 4)


@pytest.mark.parametrize("opset", [9, 13, 20])
def test_as_every_opset_writes_it(opset: int) -> None:
    net = Net(opset=opset)
    x = net.input(1, 4, 8, 9)
    if opset < 11:
        x = net.op("Pad", x, pads=LEFT_MOST, value=0.0)
    elif opset < 18:
        x = padded(net, x, LEFT_MOST)
    else:  # the last axis, then the one before it
        zero, axes = net.weight(values=np.array(0, np.float32)), net.weight(values=np.array([-1, 2]))
        x = padded(net, x, [1, 0, 3, 2], zero, axes)
    (conv,) = merged(net.model(net.conv(x, 4, 4, 3, 3))).model.graph
    assert tuple(conv.attributes.get_ints("pads")) == (0, 1, 2, 3)


@pytest.mark.parametrize("own", [{}, {"pads": [1] * 4, "count_include_pad": 1}])
def test_zeros_go_into_a_pool_that_counts_them(own: dict[str, object]) -> None:
    net = Net()
    y = net.op("AveragePool", padded(net, net.input(1, 4, 8, 9), [0, 0, 1, 1, 0, 0, 1, 0]), kernel_shape=[3, 3], **own)
    assert ops(merged(net.model(y)).model) == {"AveragePool": 1}


def test_a_branch_behind_a_pad_merges_with_the_others() -> None:
    """As a k x k branch of stride 1 is written by hand: F.pad, then a convolution without padding."""
    net = Net()
    x = net.input(1, 4, 8, 9)
    branch = net.norm(net.conv(padded(net, x, [0, 0, 1, 1, 0, 0, 1, 1]), 4, 4, 3, 3), 4)
    pool = net.op("AveragePool", padded(net, x, [0, 0, 1, 1, 0, 0, 1, 1]), kernel_shape=[3, 3])
    y = net.op("Add", net.op("Add", branch, net.conv(x, 4, 4, 1, 1)), net.op("Add", pool, x))
    assert ops(merged(net.model(net.op("Relu", y))).model) == {"Conv": 1, "Relu": 1}


def test_a_shift_under_the_pad_stays_where_it_is() -> None:
    net = Net()
    y = net.conv(padded(net, net.norm(net.input(1, 4, 8, 9), 4), [0, 0, 1, 1, 0, 0, 1, 1]), 4, 4, 3, 3)
    result = merged(net.model(y))
    assert ops(result.model) == {"BatchNormalization": 1, "Conv": 1}
    assert "the border would change" in reasons(result)


@pytest.mark.parametrize(
    ("amounts", "filling", "mode", "reason"),
    [
        ([0, 0, 1, 1, 0, 0, 1, 1], 0.5, "constant", "fills with 0.5, not with zeros"),
        ([0, 0, 1, 1, 0, 0, 1, 1], 0.0, "reflect", "fills by mode 'reflect'"),
        ([0, 0, -1, 1, 0, 0, 1, 1], 0.0, "constant", "cuts from the map"),
        ([0, 2, 0, 0, 0, 0, 0, 0], 0.0, "constant", "widens the batch or the channels"),
    ],
)
def test_other_pads_are_declined(amounts: list[int], filling: float, mode: str, reason: str) -> None:
    net = Net()
    channels = 4 + amounts[1]
    x = padded(net, net.input(1, 4, 8, 9), amounts, net.weight(values=np.array(filling, np.float32)), mode=mode)
    result = merged(net.model(net.conv(x, 4, channels, 3, 3)))
    assert not result.modified
    assert reason in reasons(result)


def test_pools_that_may_not_take_the_zeros() -> None:
    net = Net()
    x = padded(net, net.input(1, 4, 8, 9), [0, 0, 1, 1, 0, 0, 1, 1])
    uncounted = net.op("AveragePool", x, kernel_shape=[3, 3], pads=[1] * 4)
    wide = net.op(
        "AveragePool", padded(net, net.input(1, 4, 8, 9, name="y"), [0, 0, 2, 2, 0, 0, 2, 2]), kernel_shape=[2, 2]
    )
    result = merged(net.model(uncounted, wide))
    assert not result.modified
    assert "does not count its padding" in reasons(result)
    assert "as much padding as kernel" in reasons(result)


def test_a_padded_map_that_others_see_stays_for_them() -> None:
    net = Net()
    x = padded(net, net.input(1, 4, 8, 9), [0, 0, 1, 1, 0, 0, 1, 1])
    pool = net.op("MaxPool", x, kernel_shape=[3, 3])
    result = merged(net.model(net.conv(x, 4, 4, 3, 3), pool))
    conv, pad = (next(node for node in result.model.graph if node.op_type == kind) for kind in ("Conv", "Pad"))
    assert conv.inputs[0] is pad.inputs[0]
    assert [node.op_type for node in pad.outputs[0].consumers()] == ["MaxPool"]


def test_a_computed_amount_is_declined() -> None:
    net = Net()
    amounts = net.input(8, name="amounts", dtype=ir.DataType.INT64)
    model = net.model(net.conv(net.op("Pad", net.input(1, 4, 8, 9), amounts), 4, 4, 3, 3))
    result = reparameterize(model)
    assert not result.modified
    assert "'amounts' is a graph input, not a constant" in reasons(result)
