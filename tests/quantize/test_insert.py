"""Q/DQ pairs: ONNX Runtime fuses every one of them, and the numbers stay close for the right reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from quantizing import quantized, run, signal_to_noise
from small_nets import SHAPE, Build, pictures, residual_net

from edgevision import native
from edgevision.calibration.calibrators import Range
from edgevision.passes.attach_bodies import attach_bodies
from edgevision.passes.functions_as_tables import functions_as_tables
from edgevision.quantize.coverage import coverage, optimized_graph
from edgevision.quantize.insert import insert
from edgevision.quantize.observe import observe
from edgevision.quantize.parameters import activation_parameters, quantized_bias, quantized_weight
from edgevision.quantize.plan import make_plan
from edgevision.quantize.scheme import Activations, WeightForm, find_scheme

VNNI, TRT = find_scheme("ort_x86_vnni", "ort"), find_scheme("trt", "trt")
INT8 = WeightForm(largest=127, per_channel=True, bias="int32")


def test_everything_between_image_and_logits_is_integer() -> None:
    model = residual_net()
    changed, _ = quantized(model, VNNI.without_tables())
    found = coverage(model, changed)
    assert found.share == 1.0
    assert not set(found.ops) & {"Conv", "Gemm", "Add", "Mul", "Sigmoid", "Relu", "DequantizeLinear"}
    assert found.ops["QuantizeLinear"] == 1  # of the image
    assert (found.ops["QLinearConv"], found.ops["QGemm"], found.ops["QLinearAdd"]) == (5, 1, 1)


@pytest.mark.skipif(native.why_not() is not None, reason="without kernels the table's body stands there")
def test_a_function_of_several_nodes_is_one_table_and_turns_nothing_round() -> None:
    """The transposes around it meet those of the convolutions: one is left for the image, one behind the pool."""
    model = residual_net()
    changed, plan = quantized(model, VNNI)
    assert next(n.op_type for n in plan.joined) == "Mul"  # of x sigmoid(x), of which nothing inside is rounded
    functions_as_tables(changed)
    attach_bodies(changed)
    ops = coverage(model, changed).ops
    assert (ops["EvLookup"], ops["Transpose"], ops["QuantizeLinear"]) == (1, 2, 1)
    assert not set(ops) & {"Mul", "QLinearMul", "Sigmoid", "QLinearSigmoid", "DequantizeLinear"}


def test_functions_meet_where_integers_are_added() -> None:
    """Both sides of a sum, each a function of a convolution, and the sum itself; a function that floats want stays."""
    net = Build()
    stem = net.conv(net.image, 8, 3)
    first = net.op("Gelu", stem)
    second = net.op("Gelu", net.conv(first, 8, 8))
    wanted = net.op("Gelu", net.conv(net.op("Add", first, second), 8, 8))
    model = net.model(net.op("Softmax", wanted))
    plan = make_plan(model, VNNI)
    assert [n.op_type for n in plan.joined] == ["Gelu", "Gelu", "Add"]
    assert {str(v.name) for v in plan.tensors} == {"image", *(str(n.outputs[0].name) for n in model.graph[:-2])}
    assert not {n.op_type for n in make_plan(model, VNNI, ["Gelu"]).joined} & {"Gelu", "Add"}


def test_share_falls_when_an_operator_is_excluded() -> None:
    model = residual_net()
    whole = make_plan(model, VNNI)
    part = make_plan(model, VNNI, exclude=["Conv_9"])
    assert {n.name for n in whole.linear} - {n.name for n in part.linear} == {"Conv_9"}
    assert part.declined == {"Conv_9": "excluded"}
    copy = model.clone()
    plan = make_plan(copy, VNNI, exclude=["Conv_9"])
    insert(copy, plan, VNNI, {str(v.name): Range(low=-4, high=4) for v in plan.tensors}, "min-max")
    share = coverage(model, copy).share
    assert share is not None
    assert 0 < share < 1


@pytest.mark.parametrize("name", ["ort_x86_vnni", "ort_x86_avx2", "ort_arm64"])
def test_accuracy(name: str, tmp_path: Path) -> None:
    model = residual_net()
    changed, _ = quantized(model, find_scheme(name, "ort"))
    feed = next(iter(pictures(1, seed=9))).image[None]
    noise = signal_to_noise(run(model, feed, tmp_path), run(changed, feed, tmp_path))
    assert 25 < noise < 70  # above 70 nothing would have been quantized


def test_a_wrong_scale_is_seen(tmp_path: Path) -> None:
    model = residual_net()
    changed, _ = quantized(model, VNNI)
    right = changed.graph.initializers["v10_scale"].const_value
    assert right is not None
    changed.graph.initializers["v10_scale"].const_value = ir.tensor(np.float32(right.numpy() / 8), name="v10_scale")
    feed = next(iter(pictures(1, seed=9))).image[None]
    assert signal_to_noise(run(model, feed, tmp_path), run(changed, feed, tmp_path)) < 15


def test_one_scale_a_weight_is_fused_too_and_loses_small_channels(tmp_path: Path) -> None:
    model, feed = residual_net(), next(iter(pictures(1, seed=9))).image[None]
    scheme = VNNI.per_tensor()
    together = quantized(model, scheme)[0]
    scales = [v for name, v in together.graph.initializers.items() if name.endswith("_scale")]
    assert all(v.shape is not None and v.shape.rank() == 0 for v in scales)
    assert len(scales) > 12
    assert coverage(model, together).share == 1.0
    assert 20 < signal_to_noise(run(model, feed, tmp_path), run(together, feed, tmp_path)) < 70
    weight = np.ones((2, 4, 1, 1), np.float32) * np.array([1, 1e-3], np.float32)[:, None, None, None]
    apart, one = (quantized_weight(weight, 0, s.weights, "min-max").values for s in (VNNI, scheme))
    assert (np.abs(apart).max(axis=(1, 2, 3)) == 127).all()
    assert np.abs(one).max(axis=(1, 2, 3)).tolist() == [127, 0]
    assert scheme.name == "ort_x86_vnni.per_tensor"


def test_tensorrt_form() -> None:
    changed, plan = quantized(residual_net(), TRT)
    zeros = [v for name, v in changed.graph.initializers.items() if name.endswith("_zero_point")]
    assert zeros
    assert all(z.dtype == ir.DataType.INT8 and not z.const_value.numpy().any() for z in zeros if z.const_value)
    assert "depthwise" in plan.declined["Conv_5"]
    assert all(n.inputs[2].producer() is None for n in changed.graph if n.op_type == "Conv")  # float biases


def test_layout_operators_share_a_scale_and_leave_no_requantization() -> None:
    net = Build()
    whole = net.conv(net.image, 16, 3)
    half = net.op("Transpose", whole, perm=[0, 1, 3, 2])
    last = net.conv(half, 16, 16)
    model = net.model(net.op("Relu", net.conv(last, 8, 16)))
    changed, plan = quantized(model, VNNI)
    assert [n.op_type for n in plan.joined] == ["Transpose"]
    assert "v1_scale" not in changed.graph.initializers
    kinds = [n.op_type for n in optimized_graph(changed).graph]
    assert (kinds.count("QuantizeLinear"), kinds.count("DequantizeLinear")) == (1, 1)  # of the image, of the answer


def test_answer_of_a_convolution_stays_float() -> None:
    net = Build()
    model = net.model(net.conv(net.conv(net.image, 8, 3), 3, 8))
    plan = make_plan(model, VNNI)
    assert [n.name for n in plan.linear] == ["Conv_0"]
    assert plan.declined["Conv_1"] == "its output is the model's answer"


def test_zero_is_exact_and_the_range_is_held() -> None:
    for form in (
        Activations(type="uint8", symmetric=False, outputs=True),
        Activations(type="int8", symmetric=False, outputs=True),
    ):
        scale, zero = activation_parameters(Range(low=-1.3, high=4.1), form)
        least = 0 if form.type == "uint8" else -128
        assert (least - zero) * scale <= -1.3 + scale / 2
        assert (least + 255 - zero) * scale >= 4.1 - scale / 2
    assert activation_parameters(Range(low=0, high=0), form) == (1.0, -128)


def test_bias_that_dwarfs_its_weights_does_not_overflow() -> None:
    weight = np.full((2, 1, 1, 1), 1e-9, np.float32)
    bias = np.array([5.0, 1e-9], np.float32)
    q = quantized_weight(weight, 0, INT8, "min-max", bias, 0.01)
    b = quantized_bias(bias, np.float32(0.01), q.scales)
    assert b.values[0] * b.scales[0] == pytest.approx(5.0, rel=1e-6)
    assert np.abs(b.values).max() <= 2**30 + 64


def test_observed_ranges_are_those_of_the_data() -> None:
    net = Build()
    model = net.model(net.op("Relu", net.image))
    seen = observe(model, ["image"], pictures(5), limit=3)
    read = np.stack([s.image for s in pictures(5)])[:3]
    assert (seen["image"].low, seen["image"].high) == (read.min(), read.max())
    assert seen["image"].total == 3 * np.prod(SHAPE)
