"""The passes that put fused operators in: one node is left, it computes the same through its body, look-alikes stay."""

from __future__ import annotations

import pytest
from graphs import graph, op_types, proven

from edgevision.passes.fuse_projected_scan import fuse_projected_scan
from edgevision.passes.fuse_response_norm import fuse_response_norm
from edgevision.passes.fuse_wavelet_conv import fuse_wavelet_conv
from edgevision.passes.large_depthwise import large_depthwise
from edgevision.quantize.target_form import int8_form

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
