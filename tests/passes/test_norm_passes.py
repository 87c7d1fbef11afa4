"""A norm over channels as one node, and its layout: the same through its body, look-alikes stay."""

from __future__ import annotations

import pytest
from graphs import graph, op_types, proven

from edgevision.passes.fuse_channel_norm import fuse_channel_norm
from edgevision.passes.norm_channels_last import norm_channels_last

NORM = """g (float[1,12,20] x, float[1,6,4,5] z) => (float[1,6,4,5] y)
    <int64[4] groups = {1, 2, 6, 20}, int64[1] axes = {1}, int64[4] maps = {1, 6, 4, 5}> {
    grouped = Reshape(x, groups)
    sum = ReduceSum<keepdims=0>(grouped, axes)
    last = Transpose<perm=[0,2,1]>(sum)
    norm = LayerNormalization<axis=-1, epsilon=0.001>(last, weight, bias)
    first = Transpose<perm=[0,2,1]>(norm)
    map = Reshape(first, maps)
    sigmoid = Sigmoid(z)
    silu = Mul(z, sigmoid)
    y = Mul(map, silu)
}"""
NORM_WEIGHTS = {"weight": (6,), "bias": (6,)}


def test_a_norm_takes_the_sum_before_it_and_the_gate_behind() -> None:
    before, after = graph(NORM, NORM_WEIGHTS), graph(NORM, NORM_WEIGHTS)
    (place,) = fuse_channel_norm(after).applied
    assert place.nodes_before == 7
    assert op_types(after) == {"EvChannelNorm": 1}
    assert proven(before, after)


def test_a_norm_alone_is_fused_too() -> None:
    text = """g (float[1,6,20] x) => (float[1,6,20] y) {
        last = Transpose<perm=[0,2,1]>(x)
        norm = LayerNormalization<axis=-1>(last, weight, bias)
        y = Transpose<perm=[0,2,1]>(norm)
    }"""
    before, after = graph(text, NORM_WEIGHTS), graph(text, NORM_WEIGHTS)
    assert fuse_channel_norm(after).modified
    assert op_types(after) == {"EvChannelNorm": 1}
    assert proven(before, after)


@pytest.mark.parametrize(
    "change",
    [
        ("sum = ReduceSum<keepdims=0>(grouped, axes)", "sum = ReduceMax<keepdims=0>(grouped, axes)"),
        ("Sigmoid(z)", "Tanh(z)"),
    ],
)
def test_a_norm_leaves_what_is_no_sum_and_no_gate(change: tuple[str, str]) -> None:
    before, after = graph(NORM.replace(*change), NORM_WEIGHTS), graph(NORM.replace(*change), NORM_WEIGHTS)
    assert fuse_channel_norm(after).modified
    assert op_types(after)["EvChannelNorm"] == 1
    assert op_types(after)[change[1].split("= ")[-1].split("<")[0].split("(")[0]] == 1
    assert proven(before, after)


@pytest.mark.parametrize("change", [("axis=-1", "axis=1"), ("[0,2,1]>(norm)", "[2,1,0]>(norm)")])
def test_other_norms_stay(change: tuple[str, str]) -> None:
    """Over two axes, or with its result turned another way."""
    text = NORM.replace(*change)
    weights = {"weight": (20, 6), "bias": (20, 6)} if change[1] == "axis=1" else NORM_WEIGHTS
    model = graph(text, weights)
    assert not fuse_channel_norm(model).modified


def test_a_norm_over_the_channels_of_a_map_is_fused() -> None:
    text = """g (float[2,6,4,5] x) => (float[2,6,4,5] y) {
        last = Transpose<perm=[0,2,3,1]>(x)
        norm = LayerNormalization<axis=-1>(last, weight, bias)
        y = Transpose<perm=[0,3,1,2]>(norm)
    }"""
    before, after = graph(text, NORM_WEIGHTS), graph(text, NORM_WEIGHTS)
    assert fuse_channel_norm(after).modified
    assert op_types(after) == {"EvChannelNorm": 1}
    assert proven(before, after)
    other = graph(
        text.replace("[0,3,1,2]", "[0,3,2,1]").replace("=> (float[2,6,4,5]", "=> (float[2,6,5,4]"), NORM_WEIGHTS
    )
    assert not fuse_channel_norm(other).modified


def test_a_norm_that_a_convolution_reads_is_laid_out_channels_last() -> None:
    text = """g (float[2,6,4,5] x) => (float[2,3,4,5] y, float[2,6,4,5] first) {
        last = Transpose<perm=[0,2,3,1]>(x)
        norm = LayerNormalization<axis=-1, epsilon=0.1>(last, weight, bias)
        first = Transpose<perm=[0,3,1,2]>(norm)
        y = Conv(first, kernel)
    }"""
    weights = {**NORM_WEIGHTS, "kernel": (3, 6, 1, 1)}
    before, after = graph(text, weights), graph(text, weights)
    fuse_channel_norm(after)
    assert norm_channels_last(after).modified
    assert op_types(after) == {"Transpose": 2, "Reshape": 2, "EvChannelNorm": 1, "Conv": 1}
    assert proven(before, after)
    assert not norm_channels_last(after).modified
    alone = graph(text.replace("Conv(first, kernel)", "Relu(first)").replace("[2,3,4,5]", "[2,6,4,5]"), NORM_WEIGHTS)
    fuse_channel_norm(alone)
    assert not norm_channels_last(alone).modified


def test_a_gated_norm_keeps_its_layout() -> None:
    text = """g (float[2,6,4,5] x, float[2,6,4,5] z) => (float[2,3,4,5] y) {
        last = Transpose<perm=[0,2,3,1]>(x)
        norm = LayerNormalization<axis=-1>(last, weight, bias)
        first = Transpose<perm=[0,3,1,2]>(norm)
        sigmoid = Sigmoid(z)
        silu = Mul(z, sigmoid)
        gated = Mul(first, silu)
        y = Conv(gated, kernel)
    }"""
    model = graph(text, {**NORM_WEIGHTS, "kernel": (3, 6, 1, 1)})
    fuse_channel_norm(model)
    assert op_types(model) == {"EvChannelNorm": 1, "Conv": 1}
    assert not norm_channels_last(model).modified
