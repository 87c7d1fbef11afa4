"""The passes around convolutions: what each leaves behind, that it is equal, and where it keeps its hands off."""

from __future__ import annotations

import pytest
from graphs import distance, graph, op_types

from edgevision.passes.conv_of_concat import conv_of_concat
from edgevision.passes.depthwise_blocks import BLOCK, depthwise_blocks
from edgevision.passes.mean_as_pool import mean_as_pool
from edgevision.passes.norm_of_rows import norm_of_rows
from edgevision.passes.pad_channels import MULTIPLE, pad_channels
from edgevision.passes.slice_of_conv import slice_of_conv
from edgevision.passes.split_as_slices import split_as_slices
from edgevision.passes.sum_of_groups import sum_of_groups

CHUNKED = """g (float[1,8,4,4] x) => (float[1,32,4,4] y) {
    whole = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w, b)
    left, right = Split<axis=1, num_outputs=2>(whole)
    gate = Sigmoid(right)
    y = Mul(left, gate)
}"""


def test_a_split_becomes_slices_and_the_unread_part_goes() -> None:
    text = """g (float[1,9,4,4] x) => (float[1,4,4,4] y) <int64[3] sizes = {2, 3, 4}> {
        a, b, c = Split<axis=1>(x, sizes)
        y = Relu(c)
    }"""
    before, after = graph(text), graph(text)
    assert len(split_as_slices(after).applied) == 1
    assert op_types(after) == {"Slice": 1, "Relu": 1}
    assert distance(before, after) == 0


def test_slices_of_a_convolution_become_convolutions() -> None:
    before, after = (graph(CHUNKED, {"w": (64, 8, 3, 3), "b": (64,)}) for _ in range(2))
    split_as_slices(after)
    assert len(slice_of_conv(after).applied) == 2
    assert op_types(after) == {"Conv": 2, "Sigmoid": 1, "Mul": 1}
    assert distance(before, after) <= 1e-6


def test_a_convolution_with_another_reader_or_narrow_parts_stays_whole() -> None:
    narrow = CHUNKED.replace("float[1,32,4,4]", "float[1,8,4,4]")
    model = graph(narrow, {"w": (16, 8, 3, 3), "b": (16,)})
    split_as_slices(model)
    assert not slice_of_conv(model).modified
    read = CHUNKED.replace("y = Mul(left, gate)", "y0 = Mul(left, gate)\n both = Relu(whole)\n p, q = "
                           "Split<axis=1, num_outputs=2>(both)\n y = Add(y0, p)")  # fmt: skip
    model = graph(read, {"w": (64, 8, 3, 3), "b": (64,)})
    split_as_slices(model)
    assert not slice_of_conv(model).modified


JOINED = """g (float[1,5,4,4] p, float[1,7,4,4] q, float[1,6,4,4] r) => (float[1,6,4,4] y) {
    cat = Concat<axis=1>(p, q)
    relu = Relu(cat)
    conv = Conv<kernel_shape=[1,1]>(relu, w, b)
    y = Add(r, conv)
}"""


def test_a_concatenation_is_distributed_and_the_residual_goes_in_first() -> None:
    before, after = (graph(JOINED, {"w": (6, 12, 1, 1), "b": (6,)}) for _ in range(2))
    assert len(conv_of_concat(after).applied) == 1
    assert op_types(after) == {"Relu": 2, "Conv": 2, "Add": 2}
    for add in (node for node in after.graph if node.op_type == "Add"):
        producers = [value.producer() for value in add.inputs if value is not None]
        assert (
            sum(p is not None and p.op_type == "Conv" for p in producers) == 1
        )  # each sum has a convolution to itself
    assert distance(before, after) <= 1e-6


@pytest.mark.parametrize("change", [("axis=1", "axis=2"), ("kernel_shape=[1,1]", "kernel_shape=[3,3],pads=[1,1,1,1]")])
def test_other_concatenations_and_convolutions_stay(change: tuple[str, str]) -> None:
    text = JOINED.replace(*change)
    columns = 12
    if change[1] == "axis=2":
        text, columns = text.replace("float[1,7,4,4]", "float[1,5,3,4]").replace("float[1,6,4,4]", "float[1,6,7,4]"), 5
    kernel = (1, 1) if change[1] == "axis=2" else (3, 3)
    model = graph(text, {"w": (6, columns, *kernel), "b": (6,)})
    assert not conv_of_concat(model).modified


@pytest.mark.parametrize(("outputs", "distributed"), [(36, True), (37, False)])
def test_a_concatenation_before_a_widening_convolution_stays(outputs: int, distributed: bool) -> None:
    """One more pass over the outputs against three over 12 channels."""
    text = JOINED.replace("float[1,6,4,4] r", f"float[1,{outputs},4,4] r")
    before, after = (graph(text, {"w": (outputs, 12, 1, 1), "b": (outputs,)}) for _ in range(2))
    assert len(conv_of_concat(after).applied) == distributed
    assert distance(before, after) <= 1e-6


MIXER = """g (float[1,{total},6,6] x) => (float[1,8,6,6] y) <int64[3] sizes = {{{sizes}}}> {{
    wide, near, rest = Split<axis=1>(x, sizes)
    first = Sigmoid(wide)
    deep = Conv<kernel_shape=[5,5], pads=[2,2,2,2], group={near}>(near, w1, b1)
    relu = Relu(deep)
    factor = Conv<kernel_shape=[1,1], group={near}>(relu, w2, b2)
    cat = Concat<axis=1>(first, factor, rest)
    relu_all = Relu(cat)
    y = Conv<kernel_shape=[1,1]>(relu_all, w3, b3)
}}"""


@pytest.mark.parametrize(("wide", "near", "rest"), [(32, 28, 4), (40, 10, 3), (40, 10, 6)])
def test_depthwise_branches_are_widened_to_blocks(wide: int, near: int, rest: int) -> None:
    """Exactly a block with the neighbour's channels, or with some of those before, which come out as zeros."""
    text = MIXER.format(total=wide + near + rest, sizes=f"{wide}, {near}, {rest}", near=near)
    weights = {"w1": (near, 1, 5, 5), "b1": (near,), "w2": (near, 1, 1, 1), "b2": (near,)}
    weights |= {"w3": (8, wide + near + rest, 1, 1), "b3": (8,)}
    before, after = graph(text, weights), graph(text, weights)
    split_as_slices(after)
    assert len(depthwise_blocks(after).applied) == 1
    groups = [g for node in after.graph if (g := node.attributes.get_int("group", 1)) > 1]
    assert len(groups) == 2
    assert all(group % BLOCK == 0 for group in groups)
    assert next(len(node.inputs) for node in after.graph if node.op_type == "Concat") == 2
    assert distance(before, after) <= 1e-6


def test_channels_pass_a_depthwise_branch_only_where_a_relu_follows() -> None:
    """Without the outer Relu the passed channels would be rectified where they were not."""
    text = MIXER.format(total=64, sizes="32, 28, 4", near=28).replace(
        "relu_all = Relu(cat)", "relu_all = Identity(cat)"
    )
    weights = {"w1": (28, 1, 5, 5), "b1": (28,), "w2": (28, 1, 1, 1), "b2": (28,), "w3": (8, 64, 1, 1), "b3": (8,)}
    model = graph(text, weights)
    split_as_slices(model)
    assert not depthwise_blocks(model).modified


def test_channels_between_convolutions_are_padded() -> None:
    text = """g (float[1,3,8,8] x) => (float[1,7,2,2] y) {
        a = Conv<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x, w1, b1)
        r = Relu(a)
        y = Conv<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(r, w2, b2)
    }"""
    weights = {"w1": (18, 3, 3, 3), "b1": (18,), "w2": (7, 18, 3, 3), "b2": (7,)}
    before, after = graph(text, weights), graph(text, weights)
    assert len(pad_channels(after).applied) == 1
    shapes = [node.inputs[1].shape for node in after.graph if node.op_type == "Conv" and node.inputs[1] is not None]
    assert [tuple(shape or ())[:2] for shape in shapes] == [(20, 3), (7, 20)]
    assert 20 % MULTIPLE == 0
    assert distance(before, after) <= 1e-6
    assert not pad_channels(after).modified


def test_a_mean_over_pixels_becomes_a_pool() -> None:
    text = """g (float[1,6,5,4] x) => (float[1,6,1,1] y) <int64[2] axes = {AXES}> { y = ReduceMean<keepdims=1>(x, axes) }"""
    before, after = (graph(text.replace("AXES", "-1, 2")) for _ in range(2))
    assert len(mean_as_pool(after).applied) == 1
    assert op_types(after) == {"GlobalAveragePool": 1}
    assert distance(before, after) <= 1e-6
    assert not mean_as_pool(graph(text.replace("AXES", "1, 2").replace("[1,6,1,1]", "[1,1,1,4]"))).modified


def test_a_norm_over_pixels_becomes_a_product() -> None:
    text = (
        """g (float[1,6,5,4] x) => (float[1,6,1,1] y) <int64[2] axes = {AXES}> { y = ReduceL2<keepdims=1>(x, axes) }"""
    )
    before, after = (graph(text.replace("AXES", "-1, 2")) for _ in range(2))
    assert len(norm_of_rows(after).applied) == 1
    assert op_types(after) == {"Transpose": 1, "Mul": 1, "Reshape": 2, "MatMul": 1, "Sqrt": 1}
    assert distance(before, after) <= 1e-6
    assert not norm_of_rows(graph(text.replace("AXES", "1, 2").replace("[1,6,1,1]", "[1,1,1,4]"))).modified


def test_new_values_keep_clear_of_names_that_are_taken() -> None:
    text = """g (float[1,6,5,4] x) => (float[1,6,1,1] y, float[1,6,5,4] y_1) <int64[2] axes = {2, 3}> {
        y = ReduceL2<keepdims=1>(x, axes)
        y_1 = Relu(x)
    }"""
    before, after = graph(text), graph(text)
    assert len(norm_of_rows(after).applied) == 1
    assert distance(before, after) <= 1e-6


def test_a_sum_of_groups_becomes_additions() -> None:
    text = """g (float[1,18,7] x) => (float[1,6,7] y) <int64[4] shape = {1, 3, 6, 7}, int64[1] axes = {1}> {
        grouped = Reshape(x, shape)
        y = ReduceSum<keepdims=0>(grouped, axes)
    }"""
    before, after = graph(text), graph(text)
    assert len(sum_of_groups(after).applied) == 1
    assert op_types(after) == {"Slice": 3, "Add": 2}
    assert distance(before, after) <= 1e-6
    other = graph(text.replace("axes = {1}", "axes = {2}").replace("float[1,6,7] y", "float[1,3,7] y"))
    assert not sum_of_groups(other).modified
