"""The passes that put fused operators in: one node is left, it computes the same through its body, look-alikes stay."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from graphs import distance, graph, op_types

from edgevision.passes.attach_bodies import attach_bodies
from edgevision.passes.fuse_channel_norm import fuse_channel_norm
from edgevision.passes.fuse_projected_scan import fuse_projected_scan
from edgevision.passes.fuse_response_norm import fuse_response_norm
from edgevision.passes.fuse_wavelet_conv import fuse_wavelet_conv
from edgevision.passes.large_depthwise import large_depthwise
from edgevision.passes.norm_channels_last import norm_channels_last
from edgevision.quantize.target_form import int8_form


def proven(before: ir.Model, after: ir.Model) -> bool:
    """Both through the bodies of their operators."""
    for model in (before, after):
        attach_bodies(model)
    return distance(before, after) <= 1e-5


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


SCAN = """g (float[1,6,4,5] x) => (float[1,6,20] y)
    <int64[3] rows = {1, 6, 20}, int64[3] sizes = {6, 2, 2}, int64[4] states = {1, 2, 1, 20}, int64[4] groups = {1, 2, 6, 20},
     int64[1] axes = {1}, float[1,12,20] scanned> {
    sigmoid = Sigmoid(x)
    silu = Mul(x, sigmoid)
    u = Reshape(silu, rows)
    projected = Conv<kernel_shape=[1]>(u, w)
    dt, b, c = Split<axis=1>(projected, sizes)
    delta = Conv<kernel_shape=[1], group=2>(dt, v)
    B = Reshape(b, states)
    C = Reshape(c, states)
    scanned = edgevision.EvSelectiveScan<delta_softplus=1, reverse=[0,1], plugin_namespace="edgevision",
                                         plugin_version="1">(u, delta, A, B, C, D, delta_bias)
    grouped = Reshape(scanned, groups)
    y = ReduceSum<keepdims=0>(grouped, axes)
}"""
SCAN_WEIGHTS = {"w": (10, 6, 1), "v": (12, 3, 1), "A": (12, 1), "D": (12,), "delta_bias": (12,)}


def test_a_scan_takes_its_projections_and_the_sum_of_directions() -> None:
    before, after = graph(SCAN, SCAN_WEIGHTS), graph(SCAN, SCAN_WEIGHTS)
    (place,) = fuse_projected_scan(after).applied
    assert place.nodes_before == 11
    assert op_types(after) == {"EvProjectedScan": 1, "Reshape": 1}
    (node,) = (node for node in after.graph if node.op_type == "EvProjectedScan")
    assert node.attributes.get_int("silu", 0) == 1
    assert proven(before, after)


def test_a_scan_whose_input_is_read_elsewhere_keeps_it() -> None:
    text = SCAN.replace("float[1,6,20] y)", "float[1,6,20] y, float[1,6,20] u)")
    before, after = graph(text, SCAN_WEIGHTS), graph(text, SCAN_WEIGHTS)
    assert fuse_projected_scan(after).modified
    assert op_types(after) == {"Sigmoid": 1, "Mul": 1, "Reshape": 1, "EvProjectedScan": 1}
    assert proven(before, after)


@pytest.mark.parametrize(
    "change",
    [
        ("delta_softplus=1", "delta_softplus=0"),
        ("B = Reshape(b, states)", "b2 = Relu(b)\n B = Reshape(b2, states)"),
        ("dt, b, c", "dt, c, b"),
        ("ReduceSum", "ReduceMax"),
    ],
)
def test_other_scans_stay(change: tuple[str, str]) -> None:
    model = graph(SCAN.replace(*change), SCAN_WEIGHTS)
    assert not fuse_projected_scan(model).modified


WAVELET = """g (float[1,5,7,6] x, float[1,5,7,6] r) => (float[1,5,7,6] y)
    <int64[4] flat = {1, 20, 4, 3}, int64[5] apart = {1, 5, 4, 4, 3}, float[1,5,4,4,3] bands, float[1,5,7,6] back> {
    bands = edgevision.EvDWT<mode="zero", plugin_namespace="edgevision", plugin_version="1">(x, f)
    together = Reshape(bands, flat)
    conv = Conv<kernel_shape=[3,3], pads=[1,1,1,1], group=20>(together, w, b)
    mixed = Reshape(conv, apart)
    back = edgevision.EvIDWT<mode="zero", crop=[1,0], plugin_namespace="edgevision", plugin_version="1">(mixed, h)
    sum = Add(r, back)
    y = Relu(sum)
}"""
WAVELET_WEIGHTS = {"f": (20, 1, 2, 2), "h": (20, 1, 2, 2), "w": (20, 1, 3, 3), "b": (20,)}


def test_a_wavelet_convolution_takes_the_sum_and_the_relu() -> None:
    before, after = graph(WAVELET, WAVELET_WEIGHTS), graph(WAVELET, WAVELET_WEIGHTS)
    (place,) = fuse_wavelet_conv(after).applied
    assert place.nodes_before == 7
    assert op_types(after) == {"EvWaveletConv": 1}
    assert proven(before, after)


def test_a_wavelet_convolution_without_sum_and_relu_is_fused_too() -> None:
    text = WAVELET.replace("sum = Add(r, back)", "sum = Sigmoid(back)").replace(", float[1,5,7,6] r)", ")")
    before, after = graph(text, WAVELET_WEIGHTS), graph(text, WAVELET_WEIGHTS)
    assert fuse_wavelet_conv(after).modified
    assert op_types(after) == {"EvWaveletConv": 1, "Sigmoid": 1, "Relu": 1}
    assert proven(before, after)


def test_what_the_kernel_cannot_hold_stays() -> None:
    """Filters that all channels share, four taps, and maps too wide for its stack."""
    shared = graph(WAVELET, {**WAVELET_WEIGHTS, "f": (4, 1, 2, 2)})
    assert not fuse_wavelet_conv(shared).modified
    wide = WAVELET.replace("7,6]", "7,80]").replace("4, 3}", "4, 40}").replace("4,4,3]", "4,4,40]")
    assert not fuse_wavelet_conv(graph(wide, WAVELET_WEIGHTS)).modified
    periodic = WAVELET.replace('EvDWT<mode="zero"', 'EvDWT<mode="periodization"')
    assert not fuse_wavelet_conv(graph(periodic, WAVELET_WEIGHTS)).modified


RESPONSE = """g (float[2,6,4,5] x) => (float[2,6,4,5] y)
    <int64[2] pixels = {2, 3}, int64[1] channels = {1}, float epsilon = {0.001}, float one = {1.0}> {
    g = Gelu(x)
    norm = ReduceL2(g, pixels)
    mean = ReduceMean(norm, channels)
    above = Add(mean, epsilon)
    share = Div(norm, above)
    response = Mul(gamma, share)
    factor = Add(response, one)
    y = Mul(factor, g)
}"""
RESPONSE_WEIGHTS = {"gamma": (1, 6, 1, 1)}


@pytest.mark.parametrize(
    "change", [("Mul(factor, g)", "Mul(g, factor)"), ("Add(response, one)", "Add(one, response)"), ("pixels", "pixels")]
)
def test_a_response_norm_takes_its_gelu(change: tuple[str, str]) -> None:
    text = RESPONSE.replace(*change)
    before, after = graph(text, RESPONSE_WEIGHTS), graph(text, RESPONSE_WEIGHTS)
    assert fuse_response_norm(after).modified
    assert op_types(after) == {"EvResponseNorm": 1}
    assert proven(before, after)


def test_a_gelu_that_others_read_stays() -> None:
    text = RESPONSE.replace("(float[2,6,4,5] y)", "(float[2,6,4,5] y, float[2,6,4,5] g)")
    before, after = graph(text, RESPONSE_WEIGHTS), graph(text, RESPONSE_WEIGHTS)
    assert fuse_response_norm(after).modified
    assert op_types(after) == {"EvResponseNorm": 1, "Gelu": 1}
    assert proven(before, after)


@pytest.mark.parametrize(
    "change",
    [
        ("one = {1.0}", "one = {2.0}"),
        ("pixels = {2, 3}", "pixels = {1, 3}"),
        ("ReduceMean(norm, channels)", "ReduceMax(norm, channels)"),
        ("Div(norm, above)", "Div(above, norm)"),
        ("ReduceL2(g, pixels)", "ReduceL2(x, pixels)"),
    ],
)
def test_what_is_no_response_norm_stays(change: tuple[str, str]) -> None:
    model = graph(RESPONSE.replace(*change), RESPONSE_WEIGHTS)
    assert not fuse_response_norm(model).modified


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


DEPTHWISE = """g (float[1,16,14,14] x) => (float[1,16,14,14] y) {
    y = Conv<kernel_shape=[13,13], pads=[6,6,6,6], group=16>(x, w, b)
}"""
DEPTHWISE_WEIGHTS = {"w": (16, 1, 13, 13), "b": (16,)}


def test_a_kernel_that_reaches_far_over_the_edges_is_ours() -> None:
    before, after = graph(DEPTHWISE, DEPTHWISE_WEIGHTS), graph(DEPTHWISE, DEPTHWISE_WEIGHTS)
    assert large_depthwise(after).modified
    assert op_types(after) == {"EvDepthwiseConv": 1}
    assert proven(before, after)
    whole = int8_form(after, "ort")  # no runtime has ours in 8 bits
    assert op_types(whole) == {"Conv": 1}
    assert proven(before, whole)


def test_a_strided_and_dilated_one_without_a_bias_computes_the_same() -> None:
    text = DEPTHWISE.replace("[1,16,14,14] y", "[1,16,7,12] y").replace(
        "[6,6,6,6]", "[6,10,6,12], dilations=[1,2], strides=[2,1]"
    )
    text = text.replace("(x, w, b)", "(x, w)")
    before, after = graph(text, DEPTHWISE_WEIGHTS), graph(text, DEPTHWISE_WEIGHTS)
    assert large_depthwise(after).modified
    assert proven(before, after)


@pytest.mark.parametrize(
    ("text", "kernel"),
    [
        (DEPTHWISE.replace("13,13", "7,7").replace("6,6,6,6", "3,3,3,3"), (16, 1, 7, 7)),
        (DEPTHWISE.replace("14,14", "120,120"), (16, 1, 13, 13)),
        (DEPTHWISE.replace("14,14", "14,M"), (16, 1, 13, 13)),
        (DEPTHWISE.replace("group=16", "group=1"), (16, 16, 13, 13)),
        (DEPTHWISE.replace("13,13], pads=[6,6,6,6]", "31,31], dilations=[2,2], pads=[30,30,30,30]"), (16, 1, 31, 31)),
    ],
    ids=["small", "wide map", "open size", "dense", "too large for the kernel"],
)
def test_a_convolution_that_gains_nothing_stays(text: str, kernel: tuple[int, ...]) -> None:
    model = graph(text, {"w": kernel, "b": (16,)})
    assert not large_depthwise(model).modified
