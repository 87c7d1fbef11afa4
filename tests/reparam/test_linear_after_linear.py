"""A convolution after a convolution, a linear after a linear: one, where padding and price permit."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from net import Net, merged, ops, reasons


def test_pointwise_after_pointwise() -> None:
    net = Net()
    y = net.conv(net.conv(net.input(2, 8, 5, 6), 32, 8, 1, 1), 8, 32, 1, 1)
    result = merged(net.model(y))
    assert ops(result.model) == {"Conv": 1}
    assert (result.applied[0].macs_before, result.applied[0].macs_after) == (512 * 30, 64 * 30)


def test_a_bottleneck_is_priced_and_declined() -> None:
    net = Net()
    y = net.conv(net.conv(net.input(2, 64, 5, 6), 2, 64, 1, 1), 64, 2, 1, 1)
    assert "times as much as apart" in reasons(merged(net.model(y)))


@pytest.mark.parametrize("pool_first", [True, False])
@pytest.mark.parametrize("dense", [False, True])
def test_a_pool_beside_a_convolution(pool_first: bool, dense: bool) -> None:
    """Composed, a depthwise convolution grows by the pool's taps; a dense one by a product of matrices for each."""
    net = Net()
    y = net.input(1, 128, 7, 8)
    for pool in (pool_first, not pool_first):
        if pool:
            y = net.op("AveragePool", y, kernel_shape=[2, 2])
        else:
            y = net.conv(y, 128, 128, 2, 1, groups=1 if dense else 128)
    result = merged(net.model(net.op("Relu", y)))
    assert ops(result.model)["AveragePool"] == dense
    assert dense == ("composed they would cost" in reasons(result))


def test_padding_after_a_bias_is_declined() -> None:
    net = Net()
    y = net.conv(net.conv(net.input(2, 4, 7, 6), 16, 4, 1, 1), 4, 16, 3, 3, pads=[1] * 4)
    assert "the first has a bias" in reasons(merged(net.model(y)))


def test_padding_after_a_pointwise_without_bias() -> None:
    net = Net()
    y = net.conv(net.conv(net.input(2, 4, 7, 6), 16, 4, 1, 1, bias=False), 4, 16, 3, 3, pads=[1, 0, 0, 1])
    assert ops(merged(net.model(y)).model) == {"Conv": 1}


def test_padding_after_a_wider_kernel_is_declined() -> None:
    net = Net()
    y = net.conv(net.conv(net.input(2, 4, 7, 6), 8, 4, 3, 3, bias=False), 4, 8, 3, 3, pads=[1] * 4)
    assert "not zero outside" in reasons(merged(net.model(y)))


def test_linears_on_rows() -> None:
    net = Net()
    x = net.op("Gemm", net.input("n", 8), net.weight(16, 8), net.weight(16), transB=1)
    assert ops(merged(net.model(net.op("Gemm", x, net.weight(16, 4), net.weight(4))), n=3).model) == {"Gemm": 1}
    net = Net()
    x = net.op("Add", net.op("MatMul", net.input(2, 3, 8), net.weight(8, 16)), net.weight(16))
    assert ops(merged(net.model(net.op("MatMul", x, net.weight(16, 4)))).model) == {"MatMul": 1, "Add": 1}


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_made_up_pairs(data: st.DataObject) -> None:
    """Any two convolutions, the second without padding, give the same map as their product."""
    draw = data.draw
    net = Net(seed=draw(st.integers(0, 10**6)))
    small = st.tuples(st.integers(1, 3), st.integers(1, 3))
    x = net.input(1, 4, draw(st.integers(13, 16)), draw(st.integers(13, 16)))
    middle = draw(st.sampled_from([8, 32]))
    pads = [draw(st.integers(0, 2)) for _ in range(4)]
    y = net.conv(
        x,
        middle,
        4,
        *draw(small),
        groups=draw(st.sampled_from([1, 2, 4])),
        bias=draw(st.booleans()),
        strides=draw(small),
        dilations=draw(small),
        pads=pads,
    )
    second = draw(small)
    assume(all(k <= 2 for k in second))
    y = net.conv(
        y, 4, middle, *second, groups=draw(st.sampled_from([1, 2])), bias=draw(st.booleans()), strides=draw(small)
    )
    result = merged(net.model(y))
    assert ops(result.model) == {"Conv": 1} or "times as much as apart" in reasons(result)


@pytest.mark.parametrize("output", [True, False])
def test_the_intermediate_result_must_be_unseen(output: bool) -> None:
    net = Net()
    middle = net.conv(net.input(2, 8, 5, 6), 32, 8, 1, 1)
    y = net.conv(middle, 8, 32, 1, 1)
    result = merged(net.model(y, middle if output else net.op("Relu", middle)))
    assert not result.modified
    assert ("graph output" if output else "also read by Relu") in reasons(result)
