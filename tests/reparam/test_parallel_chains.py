"""Branches of a sum that are pools, or several linear operators in a row: composed, or left with the right reason."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from net import Net, merged, ops, reasons


def add(net: Net, *values: ir.Value) -> ir.Value:
    total = values[0]
    for value in values[1:]:
        total = net.op("Add", total, value)
    return total


def test_pool_that_counts_its_padding() -> None:
    net = Net()
    x = net.input(1, 4, 11, 12)
    pool = net.op("AveragePool", x, kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
    assert ops(merged(net.model(add(net, pool, x, net.conv(x, 4, 4, 3, 3, pads=[1] * 4)))).model) == {"Conv": 1}


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"kernel_shape": [3, 3], "pads": [1] * 4}, "does not count its padding"),
        ({"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"}, "does not count its padding"),
        ({"kernel_shape": [1, 1], "ceil_mode": 1}, "rounds its output size up"),
    ],
)
def test_pools_that_are_no_convolution(attributes: dict[str, object], reason: str) -> None:
    net = Net()
    x = net.input(1, 4, 11, 12)
    y = add(net, net.op("AveragePool", x, **attributes), net.conv(x, 4, 4, 3, 3, pads=[1] * 4))
    result = merged(net.model(y))
    assert not result.modified
    assert reason in reasons(result)


def test_a_scale_and_a_shift_in_a_row_are_a_branch() -> None:
    net = Net()
    x = net.input(1, 4, 7, 8)
    affine = net.op("Add", net.op("Mul", x, net.weight(4, 1, 1)), net.weight(4, 1, 1))
    y = add(net, affine, net.conv(x, 4, 4, 3, 3, pads=[1] * 4))
    assert ops(merged(net.model(net.op("Relu", y))).model) == {"Conv": 1, "Relu": 1}


def test_a_diverse_branch_block() -> None:
    """kxk, 1x1 and kxk, 1x1 and average pool, each with its norms: the branches are chains."""
    net = Net()
    x = net.input(1, 8, 11, 12)

    def conv(y: ir.Value, size: int) -> ir.Value:
        return net.norm(net.conv(y, 8, 8, size, size, bias=False), 8)

    pool = net.norm(net.op("AveragePool", conv(x, 1), kernel_shape=[3, 3]), 8)
    y = add(net, conv(x, 3), conv(conv(x, 1), 3), pool)
    assert ops(merged(net.model(net.op("Relu", y))).model) == {"Conv": 1, "Relu": 1}


def test_a_strided_pool_behind_a_convolution() -> None:
    net = Net()
    x = net.input(1, 8, 11, 12)
    pool = net.op("AveragePool", net.conv(x, 8, 8, 1, 1), kernel_shape=[2, 2], strides=[2, 2])
    y = add(net, pool, net.conv(x, 8, 8, 2, 2, strides=[2, 2]))
    assert ops(merged(net.model(net.op("Relu", y))).model) == {"Conv": 1, "Relu": 1}


def test_a_padded_pool_behind_a_shift_is_declined() -> None:
    net = Net()
    x = net.input(1, 8, 11, 12)
    pool = net.op("AveragePool", net.norm(x, 8), kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
    result = merged(net.model(net.op("Relu", add(net, pool, net.conv(x, 8, 8, 3, 3, pads=[1] * 4)))))
    assert not result.modified
    assert "pads with zeros, the first has a bias" in reasons(result)


def pooled(net: Net, x: ir.Value) -> ir.Value:
    return net.op("AveragePool", x, kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)


def test_convolutions_behind_one_pool() -> None:
    """The pool has two readers until its branches are one; that one and the pool then go into the branch beside them."""
    net = Net()
    x = net.input(1, 8, 11, 12)
    pool = pooled(net, x)
    y = add(net, net.conv(pool, 8, 8, 1, 1), net.conv(x, 8, 8, 3, 3, pads=[1] * 4), net.conv(pool, 8, 8, 1, 1))
    assert ops(merged(net.model(net.op("Relu", y))).model) == {"Conv": 1, "Relu": 1}


def test_a_convolution_behind_a_pool_that_others_see() -> None:
    net = Net()
    x = net.input(1, 8, 11, 12)
    pool = pooled(net, x)
    y = add(net, net.conv(pool, 8, 8, 1, 1), net.conv(x, 8, 8, 3, 3, pads=[1] * 4))
    result = merged(net.model(net.op("Relu", y), net.op("MaxPool", pool, kernel_shape=[2, 2])))
    assert not result.modified
    (row,) = (row for row in result.declined if row.equation == "parallel_sum")
    assert "also read by MaxPool" in row.reason
    assert row.where == ("AveragePool_0", "Conv_1", "Add_3")


def test_a_residual_around_what_is_scaled_before() -> None:
    """As GELU ends in exported graphs: both branches are linear functions of what is before the factor, too."""
    net = Net()
    x = net.op("Mul", net.op("Relu", net.input(1, 4, 7, 8)), net.weight(values=np.array(0.5, np.float32)))
    result = merged(net.model(net.op("Relu", add(net, x, net.conv(x, 4, 4, 3, 3, pads=[1] * 4)))))
    assert ops(result.model) == {"Conv": 1, "Relu": 2}


def test_linears_in_a_row_beside_another() -> None:
    net = Net()
    x = net.input("n", 8)
    narrow = net.op("Gemm", net.op("Gemm", x, net.weight(8, 2), net.weight(2)), net.weight(2, 8))
    y = add(net, narrow, net.op("Gemm", x, net.weight(8, 8)), x)
    result = merged(net.model(net.op("Relu", y)), n=3)
    assert ops(result.model) == {"Gemm": 1, "Relu": 1}
    assert [row.equation for row in result.applied] == ["parallel_sum"], (
        "apart, the bottleneck would be left for its price"
    )


def test_a_bottleneck_without_activation_is_priced() -> None:
    """Composed it is a dense 5x5 convolution: the weights are not even made."""
    net = Net()
    x = net.input(1, 64, 11, 12)
    inner = net.conv(net.conv(x, 4, 64, 1, 1, bias=False), 4, 4, 5, 5, groups=4, pads=[2] * 4)
    result = merged(net.model(net.op("Relu", add(net, net.conv(inner, 64, 4, 1, 1), x))))
    assert ops(result.model)["Add"] == 1
    assert "composed it alone would cost" in reasons(result)


def test_a_factor_for_every_place_is_no_convolution() -> None:
    net = Net()
    x = net.input(1, 4, 7, 8)
    y = add(net, net.op("Mul", x, net.weight(7, 8)), net.conv(x, 4, 4, 3, 3, pads=[1] * 4))
    result = merged(net.model(net.op("Relu", y)))
    assert not result.modified
    assert "the constant of Mul_0 is not one number a channel" in reasons(result)


def test_open_channels_are_named() -> None:
    net = Net()
    x = net.input(1, "c", 7, 8)
    y = add(net, net.op("Mul", x, net.weight(values=np.array(2, np.float32))), pooled(net, x))
    result = merged(net.model(net.op("Relu", y)), c=4)
    assert not result.modified
    assert "how many channels 'x' has is not known" in reasons(result)
