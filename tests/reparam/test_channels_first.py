"""Channels-last linears between Transposes become 1x1 convolutions, with all that is elementwise between them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from net import Net, merged, ops, reasons

LAST, FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


def linear(net: Net, x: ir.Value, inputs: int, outputs: int) -> ir.Value:
    return net.op("Add", net.op("MatMul", x, net.weight(inputs, outputs)), net.weight(outputs))


def test_one_linear_between_transposes() -> None:
    net = Net()
    y = net.op("Transpose", linear(net, net.op("Transpose", net.input("n", 6, 5, 7), perm=LAST), 6, 8), perm=FIRST)
    result = merged(net.model(y), n=2)
    assert ops(result.model) == {"Conv": 1}
    assert "channels_first" in {row.equation for row in result.applied}


def test_an_mlp_with_response_normalization_and_norm() -> None:
    """UniRepLKNet's block: linear, Gelu, global response normalization, linear, then a norm with channels first."""
    net = Net()
    x = net.op("Relu", net.input("n", 6, 5, 7))
    y = net.op("Gelu", linear(net, net.op("Transpose", x, perm=LAST), 6, 24))
    axes = [net.weight(values=np.array(a, np.int64)) for a in ([1, 2], [-1])]
    norm = net.op("ReduceL2", y, axes[0])
    mean = net.op("Add", net.op("ReduceMean", norm, axes[1]), net.weight(values=np.array(1e-6, np.float32)))
    scaled = net.op("Mul", net.op("Mul", net.weight(1, 1, 1, 24), net.op("Div", norm, mean)), y)
    y = net.op("Add", net.op("Add", scaled, net.weight(24)), y)
    y = net.op("Transpose", net.op("MatMul", y, net.weight(24, 6)), perm=FIRST)
    y = net.op("Add", x, net.op("Mul", net.norm(y, 6), net.weight(6, 1, 1)))
    result = merged(net.model(y), n=2)
    left = ops(result.model)
    assert left["Conv"] == 2
    assert not {"Transpose", "MatMul", "BatchNormalization"} & set(left)
    assert left["Add"] == 3  # epsilon, the sum inside the normalization, the residual: beta went into the last bias


def test_a_reduction_before_the_linear() -> None:
    """Its axes are the first constant of the part: integers, which say nothing of the precision."""
    net = Net()
    x = net.op("Transpose", net.input("n", 6, 5, 7), perm=LAST)
    centred = net.op("Sub", x, net.op("ReduceMean", x, net.weight(values=np.array([-1], np.int64))))
    y = net.op("Transpose", linear(net, centred, 6, 8), perm=FIRST)
    assert ops(merged(net.model(y), n=2).model) == {"ReduceMean": 1, "Sub": 1, "Conv": 1}


def test_three_dimensions() -> None:
    net = Net()
    x = net.op("Transpose", net.input(2, 4, 5), perm=[0, 2, 1])
    y = net.op("Transpose", linear(net, x, 4, 3), perm=[0, 2, 1])
    assert ops(merged(net.model(y)).model) == {"Conv": 1}


def test_two_entries_meet() -> None:
    net = Net()
    x, other = net.input(2, 4, 5, 6), net.input(2, 4, 5, 6, name="other")
    sides = [net.op("Transpose", side, perm=LAST) for side in (x, other)]
    y = net.op("Transpose", linear(net, net.op("Mul", *sides), 4, 3), perm=FIRST)
    assert ops(merged(net.model(y)).model) == {"Conv": 1, "Mul": 1}


def test_transposes_back_to_back_go() -> None:
    net = Net()
    y = net.op("Transpose", net.op("Transpose", net.op("Relu", net.input(2, 4, 5, 6)), perm=LAST), perm=FIRST)
    assert ops(merged(net.model(net.op("Relu", y))).model)["Transpose"] == 0


@pytest.mark.parametrize("kind", ["LayerNormalization", "Softmax"])
def test_operators_over_the_last_axis_stay(kind: str) -> None:
    net = Net()
    x = net.op("Transpose", net.input(2, 4, 5, 6), perm=LAST)
    y = linear(net, x, 4, 4)
    y = net.op(kind, y, net.weight(4)) if kind == "LayerNormalization" else net.op(kind, y)
    result = merged(net.model(net.op("Transpose", y, perm=FIRST)))
    assert not result.modified
    assert f"({kind}) reads channels last" in reasons(result)


def test_a_channels_last_graph_output_stays() -> None:
    net = Net()
    y = linear(net, net.op("Transpose", net.input(2, 4, 5, 6), perm=LAST), 4, 4)
    result = merged(net.model(net.op("Transpose", y, perm=FIRST), y))
    assert not result.modified
    assert "is a graph output" in reasons(result)


def test_an_input_that_comes_channels_last_stays() -> None:
    net = Net()
    x = net.op("Transpose", net.input(2, 4, 5, 6), perm=LAST)
    y = linear(net, net.op("Add", x, net.input(2, 5, 6, 4, name="last")), 4, 4)
    assert "without a Transpose" in reasons(merged(net.model(net.op("Transpose", y, perm=FIRST))))


def test_two_ways_out_stay() -> None:
    net = Net()
    y = linear(net, net.op("Transpose", net.input(2, 4, 5, 6), perm=LAST), 4, 4)
    result = merged(net.model(net.op("Transpose", y, perm=FIRST), net.op("Transpose", net.op("Relu", y), perm=FIRST)))
    assert not result.modified
    assert "channels last, is also read by Relu" in reasons(result)


@pytest.mark.parametrize("other", ["linear", "LayerNormalization", "output"])
def test_others_may_read_the_way_in(other: str) -> None:
    """Equal Transposes are one after tidying: two linears beside each other, or something that stays channels last."""
    net = Net()
    x = net.input(2, 4, 5, 6)
    first, second = (net.op("Transpose", x, perm=LAST) for _ in range(2))
    y = net.op("Transpose", linear(net, first, 4, 4), perm=FIRST)
    if other == "linear":
        model = net.model(net.op("Add", y, net.op("Transpose", linear(net, second, 4, 4), perm=FIRST)))
    else:
        model = net.model(y, second if other == "output" else net.op(other, second, net.weight(4)))
    left = ops(merged(model).model)
    assert (left["Conv"], left["MatMul"], left["Transpose"]) == (1, 0, other != "linear")
