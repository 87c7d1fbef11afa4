"""A scale passes back through what it commutes with, and through nothing else."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from net import Net, merged, ops, reasons


def scaled(net: Net, y: ir.Value, *, sign: float = 1.0, channels: int = 6) -> ir.Value:
    values = sign * net.rng.uniform(0.5, 2.0, (channels, 1, 1)).astype(np.float32)
    return net.op("Abs", net.op("Mul", y, net.weight(values=values)))


@pytest.mark.parametrize("kind", ["Relu", "LeakyRelu"])
def test_positive_scales_pass(kind: str) -> None:
    net = Net()
    y = net.op(kind, net.conv(net.input(2, 4, 9, 9), 6, 4, 3, 3, strides=[2, 2]))
    assert ops(merged(net.model(scaled(net, y))).model) == {"Conv": 1, kind: 1, "Abs": 1}


def test_pools_pass() -> None:
    net = Net()
    y = net.op("Relu", net.conv(net.input(2, 4, 19, 19), 6, 4, 3, 3, pads=[1] * 4))
    y = net.op("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    assert ops(merged(net.model(scaled(net, net.op("GlobalAveragePool", y)))).model)["Mul"] == 0


def test_any_scale_passes_an_average() -> None:
    net = Net()
    y = net.op("AveragePool", net.conv(net.input(2, 4, 9, 9), 6, 4, 1, 1), kernel_shape=[2, 2], strides=[2, 2])
    assert ops(merged(net.model(scaled(net, y, sign=-1))).model)["Mul"] == 0


def test_negative_scales_do_not_pass_relu() -> None:
    net = Net()
    y = net.op("Relu", net.conv(net.input(2, 4, 9, 9), 6, 4, 3, 3))
    result = merged(net.model(scaled(net, y, sign=-1)))
    assert not result.modified
    assert "does not pass Relu" in reasons(result)


@pytest.mark.parametrize("kind", ["Gelu", "Sigmoid", "HardSwish"])
def test_other_activations_are_no_match(kind: str) -> None:
    net = Net()
    result = merged(net.model(scaled(net, net.op(kind, net.conv(net.input(2, 4, 9, 9), 6, 4, 3, 3)))))
    assert not result.modified
    assert not result.declined


def test_a_result_on_the_way_with_another_reader_stays() -> None:
    net = Net()
    y = net.op("Relu", net.conv(net.input(2, 4, 9, 9), 6, 4, 3, 3))
    result = merged(net.model(scaled(net, y), net.op("Neg", y)))
    assert "also read by Neg" in reasons(result)
