"""Parallel linear branches of one map become one convolution, or stay with the right reason."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from net import Net, merged, ops, reasons


def add(net: Net, *values: ir.Value) -> ir.Value:
    total = values[0]
    for value in values[1:]:
        total = net.op("Add", total, value)
    return total


def test_residual_becomes_the_centre_tap() -> None:
    net = Net()
    x = net.input("n", 8, 9, 10)
    weight = net.weight(8, 1, 3, 3)
    result = merged(net.model(net.op("Add", x, net.op("Conv", x, weight, group=8, pads=[1] * 4))), n=2)
    (conv,) = result.model.graph
    assert conv.op_type == "Conv"
    after, before = (ir.convenience.get_const_tensor(value) for value in (conv.inputs[1], weight))
    assert after is not None and before is not None and after.shape == before.shape
    centre = np.zeros((8, 1, 3, 3), np.float32)
    centre[:, :, 1, 1] = 1
    np.testing.assert_allclose(after.numpy() - before.numpy(), centre, atol=1e-6)


def test_residual_into_a_dense_conv() -> None:
    net = Net()
    x = net.input(1, 8, 9, 10)
    assert ops(merged(net.model(net.op("Sub", net.conv(x, 8, 8, 3, 3, pads=[1] * 4), x))).model) == {"Conv": 1}


def test_repvgg_block() -> None:
    net = Net()
    x = net.input(2, 8, 9, 10)
    big = net.norm(net.conv(x, 8, 8, 3, 3, bias=False, pads=[1] * 4), 8)
    point = net.norm(net.conv(x, 8, 8, 1, 1, bias=False), 8)
    y = net.op("Relu", add(net, net.norm(x, 8), point, big))
    result = merged(net.model(y))
    assert ops(result.model) == {"Conv": 1, "Relu": 1}
    row = result.applied[-1]
    assert row.equation == "parallel_sum"
    assert row.macs_before == 10 * 64 * 90
    assert row.macs_after == 9 * 64 * 90


def test_dilated_branches_under_a_large_kernel() -> None:
    net = Net()
    x = net.input(1, 4, 20, 21)
    branches = [net.norm(net.conv(x, 4, 4, 13, 13, groups=4, bias=False, pads=[6] * 4), 4)]
    for kernel, rate in ((5, 1), (7, 2), (3, 3), (3, 4), (3, 5)):
        pad = rate * (kernel - 1) // 2
        conv = net.conv(x, 4, 4, kernel, kernel, groups=4, bias=False, pads=[pad] * 4, dilations=[rate] * 2)
        branches.append(net.norm(conv, 4))
    result = merged(net.model(net.norm(add(net, *branches), 4)))
    assert ops(result.model) == {"Conv": 1}
    (conv,) = result.model.graph
    assert tuple(conv.attributes.get_ints("kernel_shape")) == (13, 13)


def test_identity_into_a_dilated_kernel_keeps_its_dilation() -> None:
    net = Net()
    x = net.input(1, 4, 20, 21)
    y = add(net, x, net.conv(x, 4, 4, 3, 3, groups=4, pads=[3] * 4, dilations=[3, 3]))
    (conv,) = merged(net.model(y)).model.graph
    assert tuple(conv.attributes.get_ints("kernel_shape")) == (3, 3)
    assert tuple(conv.attributes.get_ints("dilations")) == (3, 3)


def test_asymmetric_padding_is_aligned() -> None:
    net = Net()
    x = net.input(1, 4, 11, 12)
    y = add(net, net.conv(x, 6, 4, 2, 3, pads=[1, 0, 0, 2]), net.conv(x, 6, 4, 3, 1, pads=[0, 0, 2, 0]))
    assert ops(merged(net.model(y)).model) == {"Conv": 1}


def test_strided_branches() -> None:
    net = Net()
    x = net.input(1, 4, 11, 12)
    pointwise = net.conv(x, 4, 4, 1, 1, strides=[2, 2])
    y = add(net, pointwise, net.conv(x, 4, 4, 3, 3, pads=[1] * 4, strides=[2, 2]))
    assert ops(merged(net.model(y)).model) == {"Conv": 1}


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize(("stride", "sizes"), [(1, ("h", "w")), (2, (11, 12)), (3, (10, 13))])
def test_padding_by_auto_pad_is_written_out(auto_pad: str, stride: int, sizes: tuple[int | str, int | str]) -> None:
    """As TensorFlow's exporters write it: the odd zero lies at one end, the even kernels show which."""
    net = Net()
    x = net.input("n", 4, *sizes)
    geometry = {"auto_pad": auto_pad, "strides": [stride, stride]}
    pool = net.op("AveragePool", x, kernel_shape=[2, 4], count_include_pad=1, **geometry)
    y = add(
        net, pool, net.norm(net.conv(x, 4, 4, 2, 4, bias=False, **geometry), 4), net.conv(x, 4, 4, 2, 4, **geometry)
    )
    assert ops(merged(net.model(y), n=2, h=9, w=11).model) == {"Conv": 1}


def test_auto_pad_on_open_sizes_is_declined() -> None:
    net = Net()
    x = net.input(1, 4, "h", "w")
    y = add(net, *(net.conv(x, 4, 4, 3, 3, auto_pad="SAME_UPPER", strides=[2, 2]) for _ in range(2)))
    result = merged(net.model(y), h=9, w=12)
    assert not result.modified
    assert "by auto_pad, by how much depends on the input size" in reasons(result)


def test_a_dead_channel_of_an_identity_norm_is_noted() -> None:
    net = Net()
    x = net.input(1, 2, 7, 8)
    y = add(net, net.norm(x, 2, variance=np.array([1, 0], np.float32)), net.conv(x, 2, 2, 3, 3, pads=[1] * 4))
    (row,) = merged(net.model(net.op("Relu", y))).applied
    assert "variance 0 in 1 channels, the first 1" in row.note


def test_what_is_left_of_the_sum_keeps_its_shapes() -> None:
    """One operand is widened by another: the partial sums have shapes of their own."""
    net = Net()
    x, small, wide = net.input(1, 4, 7, 8), net.input(1, 4, 1, 1, name="small"), net.input(2, 4, 7, 8, name="wide")
    y = add(net, net.conv(x, 4, 4, 3, 3, pads=[1] * 4), x, small, wide)
    result = merged(net.model(net.op("Relu", y)))
    assert ops(result.model) == {"Conv": 1, "Add": 2, "Relu": 1}
    onnx.checker.check_model(ir.to_proto(result.model), full_check=True)


def test_different_strides_are_declined() -> None:
    net = Net()
    x = net.input(1, 4, 1, 1)
    y = add(net, net.conv(x, 4, 4, 1, 1, strides=[2, 2]), net.conv(x, 4, 4, 1, 1))
    assert "strides (2, 2) and (1, 1)" in reasons(merged(net.model(y)))


def test_broadcast_channels_are_declined() -> None:
    net = Net()
    x = net.input(1, 4, 5, 5)
    assert "1 and 4 output channels" in reasons(merged(net.model(add(net, net.conv(x, 1, 4, 1, 1), x))))


def test_sizes_that_agree_on_this_input_only() -> None:
    """2x2 stride 2 and 3x3 stride 2 padded give equal maps for even sizes, not for odd ones."""
    for size, count in ((12, 1), ("h", 2)):
        net = Net()
        x = net.input(1, 4, size, size)
        even = net.conv(x, 4, 4, 2, 2, strides=[2, 2])
        y = add(net, even, net.conv(x, 4, 4, 3, 3, strides=[2, 2], pads=[1] * 4))
        result = merged(net.model(y), h=12)
        assert ops(result.model)["Conv"] == count
        assert ("for some input sizes only" in reasons(result)) == (size == "h")


def test_a_branch_with_another_reader_stays_and_the_rest_merges() -> None:
    net = Net()
    x = net.input(1, 4, 7, 7)
    first, second, third = (net.conv(x, 4, 4, 3, 3, pads=[1] * 4) for _ in range(3))
    result = merged(net.model(add(net, first, second, third), net.op("Relu", second)))
    assert ops(result.model) == {"Conv": 2, "Add": 1, "Relu": 1}
    assert "also read by Relu" in reasons(result)


def test_a_branch_that_is_a_graph_output_stays() -> None:
    net = Net()
    x = net.input(1, 4, 7, 7)
    first = net.conv(x, 4, 4, 3, 3, pads=[1] * 4)
    result = merged(net.model(add(net, first, x), first))
    assert not result.modified
    assert "graph output" in reasons(result)


def test_operands_that_read_another_map_stay_in_the_sum() -> None:
    net = Net()
    x, other = net.input(1, 4, 7, 8), net.input(1, 4, 7, 8, name="other")
    y = net.op("Sub", net.op("Add", x, net.op("Relu", other)), net.conv(x, 4, 4, 3, 3, pads=[1] * 4))
    y = net.op("Sub", y, other)
    assert ops(merged(net.model(y)).model) == {"Conv": 1, "Relu": 1, "Add": 1, "Sub": 1}


def test_the_same_branch_twice() -> None:
    net = Net()
    x = net.input(1, 4, 7, 8)
    conv = net.conv(x, 4, 4, 3, 3, pads=[1] * 4)
    assert ops(merged(net.model(add(net, conv, conv))).model) == {"Conv": 1}


def test_a_merge_dearer_than_its_branches_is_priced_and_declined() -> None:
    net = Net()
    x = net.input(1, 64, 15, 15)
    y = add(net, net.conv(x, 64, 64, 1, 1), net.conv(x, 64, 64, 13, 13, groups=64, pads=[6] * 4))
    result = merged(net.model(y))
    assert not result.modified
    assert "times as much as apart" in reasons(result)


def test_cheap_branches_merge_where_all_together_would_not_pay() -> None:
    net = Net()
    x = net.input(1, 64, 15, 15)
    wide = net.conv(x, 64, 64, 5, 5, groups=64, pads=[2] * 4)
    y = add(net, wide, net.conv(x, 64, 64, 1, 1), net.conv(x, 64, 64, 3, 3, groups=64, pads=[1] * 4), x)
    result = merged(net.model(y))
    assert ops(result.model) == {"Conv": 2, "Add": 1}
    assert "times as much as apart" in reasons(result)


def test_one_and_three_dimensions() -> None:
    for sizes in ((9,), (5, 6, 7)):
        net = Net()
        x = net.input(1, 4, *sizes)
        pads = [1] * 2 * len(sizes)
        y = add(net, x, net.conv(x, 4, 4, *(3,) * len(sizes), pads=pads), net.conv(x, 4, 4, *(1,) * len(sizes)))
        assert ops(merged(net.model(y)).model) == {"Conv": 1}


def test_linear_branches_on_rows() -> None:
    net = Net()
    x = net.input("n", 8)
    first = net.op("Gemm", x, net.weight(8, 8), net.weight(8), transB=1)
    second = net.op("Gemm", x, net.weight(8, 8), transB=0, alpha=0.5)
    y = net.op("Div", add(net, first, x, second), net.weight(values=np.array(2.0, np.float32)))
    assert ops(merged(net.model(y), n=3).model) == {"Gemm": 1}


def test_residual_around_a_linear_on_tokens() -> None:
    net = Net()
    x = net.input(2, 5, 8)
    linear = net.op("Add", net.op("MatMul", x, net.weight(8, 8)), net.weight(8))
    y = add(net, linear, net.op("Relu", x), x)
    result = merged(net.model(y))
    assert ops(result.model) == {"MatMul": 1, "Add": 2, "Relu": 1}
    assert (result.applied[0].macs_before, result.applied[0].macs_after) == (5 * 64, 5 * 64), (
        "of one sample of 5 tokens"
    )


def test_linears_of_different_width_are_declined() -> None:
    net = Net()
    x = net.input(2, 5, 8)
    y = add(net, net.op("MatMul", x, net.weight(8, 1)), net.op("MatMul", x, net.weight(8, 4)))
    assert "1 and 4 output channels" in reasons(merged(net.model(y)))


def transposed(net: Net, x: ir.Value, size: int, *, groups: int = 1, **attributes: object) -> ir.Value:
    return net.op("ConvTranspose", x, net.weight(4, 4 // groups, size, size), net.weight(4), group=groups, **attributes)


def test_transposed_convolutions_whose_maps_are_of_one_size() -> None:
    net = Net()
    x, twice = net.input("n", 4, "h", 8), {"strides": [2, 2]}
    wide = transposed(net, x, 4, pads=[1] * 4, **twice)
    longer = transposed(net, x, 3, groups=2, pads=[1] * 4, output_padding=[1, 1], **twice)
    y = net.op("Sub", add(net, net.norm(wide, 4), transposed(net, x, 2, **twice)), longer)
    result = merged(net.model(net.op("Relu", y)), n=2, h=7)
    assert ops(result.model) == {"ConvTranspose": 1, "Relu": 1}
    (row,) = (row for row in result.applied if row.equation == "parallel_sum")
    assert row.params_after == 4 * 4 * 16 + 4, "the smaller kernels lie inside of the largest"


def test_a_residual_around_a_transposed_convolution() -> None:
    net = Net()
    x = net.input(1, 4, 7, 8)
    y = add(net, transposed(net, x, 3, groups=4, pads=[1] * 4), x)
    assert ops(merged(net.model(net.op("Relu", y))).model) == {"ConvTranspose": 1, "Relu": 1}


def test_a_convolution_beside_a_transposed_one_is_declined() -> None:
    net = Net()
    x = net.input(1, 4, 7, 8)
    y = add(net, transposed(net, x, 3, pads=[1] * 4), net.conv(x, 4, 4, 3, 3, pads=[1] * 4))
    result = merged(net.model(net.op("Relu", y)))
    assert not result.modified
    assert "the branch beside it the other way round" in reasons(result)
