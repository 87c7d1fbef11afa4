"""s * (W x + b) + t goes into W and b, for every linear operator and every spelling of the affine."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from net import Net, merged, ops, reasons, run

from edgevision.reparam import reparameterize


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("groups", "attributes"),
    [(1, {}), (2, {"pads": [1, 0, 2, 1], "strides": [2, 1]}), (8, {"pads": [2] * 4, "dilations": [2, 2]})],
)
def test_norm_after_conv(bias: bool, groups: int, attributes: dict[str, list[int]]) -> None:
    net = Net()
    x = net.input(2, 8, 9, 10)
    y = net.norm(net.conv(x, 16, 8, 3, 3, groups=groups, bias=bias, **attributes), 16)
    result = merged(net.model(y))
    assert ops(result.model) == {"Conv": 1}
    (row,) = result.applied
    assert (row.where, row.equation) == (("Conv_0", "BatchNormalization_1"), "affine_after_linear")
    assert (row.nodes_before, row.nodes_after) == (2, 1)
    assert row.macs_before is not None and row.macs_before == row.macs_after
    assert row.macs_before % (16 * 8 // groups * 9) == 0, "every tap once at each place of the map"
    assert row.params_before - row.params_after == (64 if bias else 64 - 16)


def test_norm_after_transposed_conv() -> None:
    net = Net()
    x = net.input(2, 6, 5, 5)
    y = net.op("ConvTranspose", x, net.weight(6, 4, 3, 3), net.weight(8), group=2, strides=[2, 2], pads=[1, 0, 0, 1])
    assert ops(merged(net.model(net.norm(y, 8))).model) == {"ConvTranspose": 1}


def test_norm_after_linear_of_rank_two() -> None:
    net = Net()
    gemm = net.op("Gemm", net.input(3, 8), net.weight(5, 8), net.weight(5), transB=1, alpha=0.5, beta=2.0)
    assert ops(merged(net.model(net.norm(gemm, 5))).model) == {"Gemm": 1}


@pytest.mark.parametrize(("shape", "takes"), [((1,), True), ((1, 5), True), ((3, 5), False), ((3, 1), False)])
def test_whatever_a_gemm_takes_for_a_bias(shape: tuple[int, ...], takes: bool) -> None:
    net = Net()
    gemm = net.op("Gemm", net.input(3, 8), net.weight(8, 5), net.weight(*shape))
    result = merged(net.model(net.norm(gemm, 5)))
    assert result.modified == takes
    assert takes or f"of shape {shape}, is not one number an output" in reasons(result)


def test_scale_and_shift_after_matmul() -> None:
    net = Net()
    y = net.op("Add", net.weight(5), net.op("MatMul", net.input(2, 4, 8), net.weight(8, 5)))
    y = net.op("Sub", net.op("Mul", y, net.weight(5)), net.weight(1, 1, 5))
    result = merged(net.model(y))
    assert ops(result.model) == {"MatMul": 1, "Add": 1}


@pytest.mark.parametrize("kind", ["Mul", "Div", "Add", "Sub"])
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("shape", [(1, 6, 1, 1), (6, 1, 1), (1,), ()])
def test_every_spelling_of_an_affine(kind: str, swapped: bool, shape: tuple[int, ...]) -> None:
    net = Net()
    y = net.conv(net.input(2, 4, 7, 7), 6, 4, 3, 3)
    operands = (net.weight(*shape), y) if swapped else (y, net.weight(*shape))
    result = merged(net.model(net.op(kind, *operands)))
    # constant / map is no affine
    assert ops(result.model) == ({"Conv": 1, "Div": 1} if kind == "Div" and swapped else {"Conv": 1})


def test_constants_behind_nodes() -> None:
    net = Net()
    y = net.conv(net.input("n", 4, 7, 7), 6, 4, 3, 3)
    gamma = net.op("Unsqueeze", net.weight(6), net.weight(values=np.array([1, 2])))
    half = net.op("Constant", value=ir.tensor(np.array(0.5, np.float32)))
    result = merged(net.model(net.op("Mul", net.op("Mul", y, gamma), half)), n=3)
    assert ops(result.model) == {"Conv": 1}


def test_a_constant_along_another_axis_is_left_alone() -> None:
    net = Net()
    y = net.op("Mul", net.conv(net.input(1, 4, 6, 6), 6, 4, 1, 1), net.weight(6))  # 6 aligns with the width
    result = merged(net.model(y))
    assert not result.modified
    assert not result.declined


def test_a_constant_that_widens_the_map_is_left_alone() -> None:
    net = Net()
    y = net.op("Mul", net.conv(net.input(1, 4, 6, 6), 1, 4, 1, 1), net.weight(1, 5, 1, 1))
    assert not merged(net.model(y)).modified


def test_intermediate_graph_output_is_never_touched() -> None:
    net = Net()
    conv = net.conv(net.input(1, 4, 6, 6), 6, 4, 1, 1)
    result = merged(net.model(net.norm(conv, 6), conv))
    assert not result.modified
    assert "graph output" in reasons(result)


def test_another_reader_is_named() -> None:
    net = Net()
    conv = net.conv(net.input(1, 4, 6, 6), 6, 4, 1, 1)
    result = merged(net.model(net.norm(conv, 6), net.op("Relu", conv)))
    assert not result.modified
    assert "also read by Relu" in reasons(result)


def test_shared_weights_are_copied() -> None:
    net = Net()
    x, weight, bias = net.input(1, 4, 6, 6), net.weight(4, 4, 1, 1), net.weight(4)
    first = net.norm(net.op("Conv", x, weight, bias), 4)
    second = net.norm(net.op("Conv", first, weight, bias), 4)
    third = net.op("Conv", net.op("Relu", second), weight, bias)
    result = merged(net.model(third), equations=["affine_after_linear"])
    assert ops(result.model) == {"Conv": 3, "Relu": 1}
    assert len(result.applied) == 2
    kept = result.model.graph.initializers[str(weight.name)].const_value
    assert kept is not None and weight.const_value is not None
    np.testing.assert_array_equal(kept.numpy(), weight.const_value.numpy())


def test_weights_that_are_graph_inputs_are_declined() -> None:
    net = Net()
    x, weight = net.input(1, 4, 6, 6), net.input(6, 4, 1, 1, name="weight")
    result = merged(net.model(net.norm(net.op("Conv", x, weight), 6)))
    assert not result.modified
    assert "'weight' is a graph input" in reasons(result)


def test_overridable_initializers_are_declined() -> None:
    net = Net()
    x, weight = net.input(1, 4, 6, 6), net.weight(6, 4, 1, 1)
    net.inputs.append(weight)
    result = merged(net.model(net.norm(net.op("Conv", x, weight), 6)))
    assert not result.modified
    assert "may replace it" in reasons(result)


def test_training_mode_is_refused() -> None:
    net = Net()
    y = net.norm(net.conv(net.input(2, 4, 6, 6), 6, 4, 1, 1), 6, training_mode=1)
    net.nodes[-1].resize_outputs(3)
    for index, output in enumerate(net.nodes[-1].outputs[1:]):
        output.name = f"running_{index}"
    result = reparameterize(net.model(y))
    assert not result.modified
    assert "training mode" in reasons(result)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_statistics_that_are_not_numbers_are_declined(value: float) -> None:
    net = Net()
    y = net.norm(net.conv(net.input(2, 4, 6, 6), 2, 4, 1, 1), 2, variance=np.array([1.0, value], np.float32))
    result = reparameterize(net.model(y))
    assert not result.modified
    assert "NaN or infinity" in reasons(result)


def test_variance_that_is_not_positive_is_declined() -> None:
    net = Net()
    y = net.norm(net.conv(net.input(2, 4, 6, 6), 2, 4, 1, 1), 2, variance=np.array([1.0, -1.0], np.float32))
    assert "variance of 1 channels is not positive" in reasons(reparameterize(net.model(y)))


def test_variance_zero_is_merged_and_noted() -> None:
    net = Net()
    y = net.norm(net.conv(net.input(2, 4, 6, 6), 2, 4, 1, 1), 2, variance=np.array([1.0, 0.0], np.float32))
    (row,) = merged(net.model(y)).applied
    assert "variance 0 in 1 channels, the first 1" in row.note


def test_division_by_zero_is_declined() -> None:
    net = Net()
    y = net.op("Div", net.conv(net.input(1, 4, 6, 6), 2, 4, 1, 1), net.weight(values=np.zeros((2, 1, 1), np.float32)))
    assert "divides by zero" in reasons(reparameterize(net.model(y)))


def test_half_precision_weights_are_declined() -> None:
    net = Net()
    x = net.input(1, 4, 6, 6, dtype=ir.DataType.FLOAT16)
    half = [net.weight(values=np.ones(shape, np.float16)) for shape in ((2, 4, 1, 1), (2, 1, 1))]
    result = reparameterize(net.model(net.op("Mul", net.op("Conv", x, half[0]), half[1])))
    assert not result.modified
    assert "float16" in reasons(result)


def test_quantized_weights_are_declined() -> None:
    net = Net()
    x, stored = net.input(1, 4, 6, 6), net.weight(values=np.ones((2, 4, 1, 1), np.int8))
    scale, zero = net.weight(values=np.array(0.1, np.float32)), net.weight(values=np.array(0, np.int8))
    conv = net.op("Conv", x, net.op("DequantizeLinear", stored, scale, zero))
    result = merged(net.model(net.norm(conv, 2)))
    assert not result.modified
    assert "computed by DequantizeLinear" in reasons(result)


def test_unknown_domains_are_kept() -> None:
    net = Net()
    x = net.input(1, 4, 6, 6)
    y = net.op("Mystery", net.norm(net.conv(x, 6, 4, 1, 1), 6), domain="of.another")
    result = reparameterize(net.model(y))
    assert ops(result.model) == {"Conv": 1, "Mystery": 1}


def test_double_precision_stays_double() -> None:
    net = Net()
    x = net.input(1, 4, 6, dtype=ir.DataType.DOUBLE)
    wide = [net.weight(values=net.rng.standard_normal(shape)) for shape in ((4, 5), (5,))]
    result = reparameterize(
        net.model(net.op("Mul", net.op("MatMul", net.op("Transpose", x, perm=[0, 2, 1]), wide[0]), wide[1]))
    )
    assert result.modified
    assert {value.dtype for value in result.model.graph.initializers.values()} == {ir.DataType.DOUBLE}


def test_the_graph_output_keeps_its_name() -> None:
    net = Net()
    y = net.norm(net.conv(net.input(1, 4, 6, 6), 6, 4, 1, 1), 6)
    name = y.name
    result = merged(net.model(y))
    assert result.model.graph.outputs[0].name == name
    assert run(result.model, {"x": np.zeros((1, 4, 6, 6), np.float32)})[0].shape == (1, 6, 6, 6)
