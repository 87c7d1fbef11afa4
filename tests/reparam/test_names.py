"""Merged nodes and weights find names that nobody has, whatever the others are called."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest
from net import Net, merged, ops


def named(value: ir.Value, name: str) -> ir.Value:
    value.name = name
    if value.const_value is not None:
        value.const_value.name = name
    return value


@pytest.mark.parametrize("taken_by", ["input", "result", "weight"])
def test_the_bias_of_a_convolution_finds_its_name_taken(taken_by: str) -> None:
    """A merged convolution calls its new bias after its weight."""
    net = Net()
    x = net.input(1, 4, 7, 7, name="conv.bias" if taken_by == "input" else "x")
    weight = named(net.weight(4, 4, 3, 3), "conv.weight")
    y = net.op("Relu", net.norm(net.op("Conv", x, weight, pads=[1] * 4), 4))
    if taken_by == "result":
        named(y, "conv.bias")
    if taken_by == "weight":
        y = net.op("Mul", y, named(net.weight(1, 1, 7, 7), "conv.bias"))
    result = merged(net.model(net.op("Sigmoid", y)))
    assert ops(result.model)["BatchNormalization"] == 0
    onnx.checker.check_model(ir.to_proto(result.model), full_check=True)


def test_a_result_inside_a_merge_finds_its_name_taken() -> None:
    net = Net()
    x, other = net.input(2, 4, 5), net.input(2, 4, 6, name="v2_0")
    y = net.op("Add", net.op("MatMul", x, net.weight(5, 6)), net.weight(6))
    result = merged(net.model(net.op("Add", net.op("Mul", y, net.weight(6)), other)))
    assert ops(result.model) == {"MatMul": 1, "Add": 2}
    onnx.checker.check_model(ir.to_proto(result.model), full_check=True)
