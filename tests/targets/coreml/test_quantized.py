"""Q/DQ graphs: `onnxruntime.quantization`'s own, and each form of weight by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from coreml_parity import Case, expected, inputs_of, kinds, normal, parity
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from edgevision.targets.coreml import CoreML
from edgevision.targets.coreml.evaluator import Evaluator
from edgevision.targets.coreml.package import PackageOptions, convert, save

NET = Case(
    "g (float[1,3,16,16] x) => (float[1,10] y) { c = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w, b)  r = Relu(c) "
    "d = Conv<pads=[1,1,1,1], group=16>(r, w2, b2)  s = Add(d, r)  m = MaxPool<kernel_shape=[2,2], strides=[2,2]>(s) "
    "p = GlobalAveragePool(m)  f = Flatten(p)  y = Gemm<transB=1>(f, w3, b3) }",
    {
        "w": normal(16, 3, 3, 3, scale=0.3),
        "b": normal(16, scale=0.1),
        "w2": normal(16, 1, 3, 3, scale=0.3),
        "b2": normal(16, scale=0.1),
        "w3": normal(10, 16, scale=0.3),
        "b3": normal(10, scale=0.1),
    },
)


class Noise(CalibrationDataReader):
    """Sixteen random images."""

    def __init__(self) -> None:
        self.left = iter(range(16))

    def get_next(self) -> dict[str, Any] | None:
        seed = next(self.left, None)
        return None if seed is None else {"x": normal(1, 3, 16, 16, seed=seed)}


def quantized(folder: Path, activations: QuantType, per_channel: bool) -> onnx.ModelProto:
    source, target = folder / "float.onnx", folder / "qdq.onnx"
    onnx.save(NET.proto(), source)
    quantize_static(
        source,
        target,
        Noise(),
        quant_format=QuantFormat.QDQ,
        activation_type=activations,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
    )
    return onnx.load(target)


@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8], ids=["u8s8", "s8s8"])
@pytest.mark.parametrize("per_channel", [True, False], ids=["per channel", "per tensor"])
def test_onnxruntimes_quantized_graph_within_one_step(
    activations: QuantType, per_channel: bool, tmp_path: Path
) -> None:
    proto = quantized(tmp_path, activations, per_channel)
    model = ir.from_proto(proto)
    step = _last_scale(proto)
    path = save(convert(model, PackageOptions(precision="fp32")), tmp_path / "q.mlpackage")
    evaluator = Evaluator(path)
    for seed in range(3):
        feeds = inputs_of(model, {}, seed + 100)
        (reference,) = expected(proto, feeds)
        (result,) = evaluator(feeds).values()
        assert np.abs(result - reference).max() <= step * 1.001
    assert {"quantize", "dequantize", "constexpr_affine_dequantize"} <= evaluator.kinds


def _last_scale(proto: onnx.ModelProto) -> float:
    """The quantization step of the output: the scale of the last DequantizeLinear."""
    last = next(node for node in reversed(proto.graph.node) if node.op_type == "DequantizeLinear")
    scales = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    return float(scales[last.input[1]].max())


def test_quantized_graph_in_half_precision_keeps_its_weights_small(tmp_path: Path) -> None:
    model = ir.from_proto(quantized(tmp_path, QuantType.QInt8, True))
    artifact = CoreML().build(model, tmp_path)
    evaluator = Evaluator(artifact.path)
    convolutions = [o for o in evaluator.program.main.operations if o.kind == "conv"]
    made = {name: o.kind for o in evaluator.program.main.operations for name, _ in o.outputs}
    assert all(made.get(str(o.inputs["weight"][0])) == "constexpr_affine_dequantize" for o in convolutions)
    assert artifact.proofs[0].max_abs_over_std < 0.3


@pytest.mark.parametrize("dtype", [np.int8, np.uint8], ids=["int8", "uint8"])
def test_weights_alone_per_channel(dtype: Any, tmp_path: Path) -> None:
    info = np.iinfo(dtype)
    weights = np.random.default_rng(0).integers(info.min, info.max, (8, 4, 3, 3), endpoint=True).astype(dtype)
    case = Case(
        "g (float[1,4,9,9] x) => (float[1,8,7,7] y) { w = DequantizeLinear<axis=0>(q, s, z)  y = Conv(x, w) }",
        {
            "q": weights,
            "s": np.random.default_rng(1).uniform(0.01, 0.1, 8).astype(np.float32),
            "z": np.arange(8).astype(dtype),
        },
    )
    assert parity(case, tmp_path).max_abs_over_std < 1e-5
    assert "constexpr_affine_dequantize" in dict(kinds(case.model(), tmp_path))


def test_four_bit_weights_with_a_scale_a_block(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).integers(-8, 7, (64, 32), endpoint=True)
    scale = np.random.default_rng(1).uniform(0.01, 0.1, (4, 32)).astype(np.float32)
    case = Case(
        "g (float[2,64] x) => (float[2,32] y) { w = DequantizeLinear<axis=0, block_size=16>(q, s)  y = MatMul(x, w) }",
        {"q": weights.astype(ml_dtypes.int4), "s": scale},
    )
    proto = case.proto()
    proto.opset_import[0].version = 21
    model = ir.from_proto(proto)
    path = save(convert(model, PackageOptions(precision="fp32", target="iOS18")), tmp_path / "w4.mlpackage")
    evaluator = Evaluator(path)
    assert "constexpr_blockwise_shift_scale" in evaluator.kinds
    x = normal(2, 64)
    (got,) = evaluator({"x": x}).values()
    np.testing.assert_allclose(got, x @ (weights * np.repeat(scale, 16, 0)), rtol=1e-4, atol=1e-4)


def test_rounding_is_half_to_even_and_saturates(tmp_path: Path) -> None:
    case = Case(
        "g (float[8] x) => (float[8] y) { q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, s, z) }",
        {"s": np.asarray(0.5, np.float32), "z": np.asarray(3, np.uint8)},
        {"x": np.asarray([0.25, 0.75, -0.25, 1.25, 1e6, -1e6, 0, -1.5], np.float32)},
    )
    assert parity(case, tmp_path).max_abs_over_std == 0
