"""W (s * x + t) + b goes into W and b, unless zero padding would show the difference between 0 and t."""

from __future__ import annotations

import numpy as np
import pytest
from net import Net, merged, ops, reasons


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("bias", [True, False])
def test_norm_before_conv_without_padding(groups: int, bias: bool) -> None:
    net = Net()
    y = net.conv(net.norm(net.input(2, 8, 9, 10), 8), 16, 8, 3, 3, groups=groups, bias=bias, strides=[2, 1])
    result = merged(net.model(y))
    assert ops(result.model) == {"Conv": 1}
    assert [row.equation for row in result.applied] == ["affine_before_linear"]


def test_norm_before_padded_conv_is_declined() -> None:
    net = Net()
    result = merged(net.model(net.conv(net.norm(net.input(2, 8, 9, 10), 8), 4, 8, 3, 3, pads=[0, 0, 0, 1])))
    assert not result.modified
    assert "pads with zeros" in reasons(result)


@pytest.mark.parametrize("attributes", [{"pads": [1, 1, 1, 1]}, {"auto_pad": "SAME_LOWER", "strides": [2, 2]}])
def test_pure_scale_passes_padding(attributes: dict[str, object]) -> None:
    net = Net()
    y = net.conv(net.op("Mul", net.input(2, 8, 9, 10), net.weight(8, 1, 1)), 4, 8, 3, 3, **attributes)
    assert ops(merged(net.model(y)).model) == {"Conv": 1}


def test_auto_pad_counts_as_padding() -> None:
    net = Net()
    shifted = net.op("Add", net.input(2, 8, 9, 10), net.weight(8, 1, 1))
    assert "pads with zeros" in reasons(merged(net.model(net.conv(shifted, 4, 8, 3, 3, auto_pad="SAME_UPPER"))))


def test_norm_before_gemm() -> None:
    net = Net()
    y = net.op("Gemm", net.norm(net.input("n", 8), 8), net.weight(8, 5), net.weight(5))
    assert ops(merged(net.model(y), n=4).model) == {"Gemm": 1}


def test_scale_before_matmul() -> None:
    net = Net()
    y = net.op("MatMul", net.op("Mul", net.input(2, 3, 8), net.weight(8)), net.weight(8, 5))
    assert ops(merged(net.model(y)).model) == {"MatMul": 1}


def test_shift_before_matmul_becomes_its_bias() -> None:
    net = Net()
    y = net.op("MatMul", net.op("Add", net.input(2, 3, 8), net.weight(8)), net.weight(8, 5))
    assert ops(merged(net.model(y)).model) == {"MatMul": 1, "Add": 1}


def test_transposed_conv_takes_a_scale_and_no_shift() -> None:
    for kind, left in (("Mul", {"ConvTranspose": 1}), ("Add", {"ConvTranspose": 1, "Add": 1})):
        net = Net()
        x = net.op(kind, net.input(2, 4, 5, 5), net.weight(4, 1, 1))
        y = net.op("ConvTranspose", x, net.weight(4, 3, 3, 3), strides=[2, 2])
        assert ops(merged(net.model(y)).model) == left


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (2, 2), (1, 2), (3, 1)])
def test_a_transposed_conv_of_one_tap_takes_a_shift(size: int, stride: int) -> None:
    net = Net()
    x = net.op("Add", net.input(2, 4, 5, 5), net.weight(4, 1, 1))
    y = net.op("ConvTranspose", x, net.weight(4, 3, size, size), strides=[stride] * 2)
    result = merged(net.model(y))
    takes = size == stride == 1
    assert ops(result.model)["Add"] == (not takes)
    assert takes or "gives borders and gaps fewer taps" in reasons(result)


def test_a_scaled_map_with_two_readers_is_declined() -> None:
    net = Net()
    x = net.norm(net.input(2, 8, 9, 10), 8)
    result = merged(net.model(net.conv(x, 4, 8, 1, 1), net.conv(x, 4, 8, 1, 1)))
    assert not result.modified
    assert "also read by Conv" in reasons(result)


def test_a_relu_between_stops_the_scale() -> None:
    net = Net()
    x = net.op("Mul", net.input(2, 8, 9, 10), net.weight(values=-np.ones((8, 1, 1), np.float32)))
    assert not merged(net.model(net.conv(net.op("Relu", x), 4, 8, 1, 1))).modified
