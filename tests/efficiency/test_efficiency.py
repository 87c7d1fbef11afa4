"""Efficiency analysis against numbers worked out by hand, and peaks that this machine really reaches."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_ir.passes.common import ShapeInferencePass

from edgevision.efficiency import peaks as peak_module
from edgevision.efficiency.blocks import blocks_of
from edgevision.efficiency.peaks import Peaks, local_peaks
from edgevision.efficiency.waterline import efficiency_of
from edgevision.efficiency.work import kernels_of
from edgevision.errors import GraphError
from edgevision.ops.operator import operators

#: 1e9 operations and 1e8 bytes a second: a waterline at 10 operations a byte.
DEVICE = Peaks(gemm_gops={"fp32": 1.0, "fp16": None, "int8": 4.0}, copy_gb_s=0.1, threads=1)
MAP = 64 * 8 * 8


def graph(nodes: list[tuple[str, list[str], str, dict[str, object]]], weights: dict[str, tuple[int, ...]]) -> ir.Model:
    """Nodes (op, inputs, output, attributes) over x [1, 64, 8, 8] and random weights, shapes inferred; the last is y."""
    made = [helper.make_node(op, inputs, [output], name=output, **more) for op, inputs, output, more in nodes]
    info = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64, 8, 8])]
    out = [helper.make_tensor_value_info(nodes[-1][2], TensorProto.FLOAT, None)]
    rng = np.random.default_rng(0)
    constants = [numpy_helper.from_array(rng.standard_normal(s).astype(np.float32), n) for n, s in weights.items()]
    proto = helper.make_model(
        helper.make_graph(made, "g", info, out, constants), opset_imports=[helper.make_opsetid("", 20)]
    )
    model = ir.from_proto(proto)
    ShapeInferencePass()(model)
    return model


RESIDUAL = [
    ("Conv", ["x", "w3"], "a", {"pads": [1, 1, 1, 1]}),
    ("Relu", ["a"], "b", {}),
    ("Conv", ["b", "wd"], "c", {"pads": [1, 1, 1, 1], "group": 64}),
    ("Conv", ["c", "w1"], "d", {}),
    ("Add", ["b", "d"], "e", {}),
    ("Conv", ["e", "w1"], "y", {}),
]
WEIGHTS = {"w3": (64, 64, 3, 3), "wd": (64, 1, 3, 3), "w1": (64, 64, 1, 1)}


def test_work_of_each_kind_of_convolution() -> None:
    kernels = {k.name: k for k in kernels_of(graph(RESIDUAL, WEIGHTS))}
    assert {name: k.macs for name, k in kernels.items()} == {
        "a": MAP * 64 * 9, "b": 0, "c": MAP * 9, "d": MAP * 64, "e": 0, "y": MAP * 64,
    }  # fmt: skip
    assert kernels["a"].bytes == 4 * (2 * MAP + 64 * 64 * 9)
    assert kernels["c"].bytes == 4 * (2 * MAP + 64 * 9)
    assert kernels["e"].bytes == 4 * 3 * MAP
    assert kernels["a"].ops == 2 * kernels["a"].macs


def test_products_and_einsum() -> None:
    nodes = [
        ("Flatten", ["x"], "f", {}),
        ("Gemm", ["f", "wg"], "g", {}),
        ("MatMul", ["g", "wm"], "m", {}),
        ("Einsum", ["m", "wm"], "y", {"equation": "bi,ij->bj"}),
    ]
    kernels = kernels_of(graph(nodes, {"wg": (MAP, 10), "wm": (10, 10)}))
    assert [(k.op, k.macs) for k in kernels] == [("Gemm", MAP * 10), ("MatMul", 100), ("Einsum", 100)]


def test_blocks_are_residual_and_a_fused_one_moves_its_ends_and_constants() -> None:
    model = graph(RESIDUAL, WEIGHTS)
    blocks = blocks_of(model, kernels_of(model))
    assert [[k.name for k in b.kernels] for b in blocks] == [["a", "b"], ["c", "d", "e"], ["y"]]
    assert blocks[1].bytes == 4 * (2 * MAP + 64 * 9 + 64 * 64)
    assert sum(b.ops for b in blocks) == sum(k.ops for k in kernels_of(model))


def test_a_long_skip_does_not_hide_the_blocks() -> None:
    chain = [("Conv", ["x" if i == 0 else f"n{i - 1}", "w1"], f"n{i}", {}) for i in range(50)]
    model = graph([*chain, ("Add", ["n0", "n49"], "y", {})], WEIGHTS)
    assert len(blocks_of(model, kernels_of(model))) > 40


def test_views_between_kernels_are_seen_through() -> None:
    nodes = [
        ("Conv", ["x", "w1"], "a", {}),
        ("Flatten", ["a"], "v", {}),
        ("Relu", ["v"], "y", {}),
    ]
    model = graph(nodes, WEIGHTS)
    (block,) = blocks_of(model, kernels_of(model))
    assert block.bytes == 4 * (2 * MAP + 64 * 64)


def test_waterline_by_hand() -> None:
    found = efficiency_of(graph(RESIDUAL, WEIGHTS), DEVICE, 40.0, [{"op": "FusedConv", "ms": 30.0}])
    macs = MAP * (64 * 9 + 9 + 64 + 64)
    assert found["macs"] == macs
    assert found["ideal_ms"] == pytest.approx(2 * macs / 1e6)
    assert found["computational_efficiency"] == pytest.approx(2 * macs / 1e6 / 40.0)
    water = {k["name"]: k["under_water"] for k in found["unfused"]["kernels"]}
    # 3x3: 4.7e6 ops on 180 kB, 26 a byte; depthwise 2 a byte; 1x1 against 10: 10.7.
    assert water == {"a": False, "b": True, "c": True, "d": False, "e": True, "y": False}
    depthwise = next(k for k in found["unfused"]["kernels"] if k["name"] == "c")
    assert depthwise["ms"] == pytest.approx(4 * (2 * MAP + 64 * 9) / 1e5)
    assert found["unfused"]["attainable_ms"] == pytest.approx(sum(k["ms"] for k in found["unfused"]["kernels"]))
    assert found["block_fused"]["bytes"] < found["unfused"]["bytes"]
    assert found["block_fused"]["attainable_efficiency"] > found["unfused"]["attainable_efficiency"]
    (conv,) = (row for row in found["per_op"] if row["op"] == "Conv")
    assert (conv["count"], conv["under_water"], conv["ms"]) == (4, 1, 30.0)
    assert conv["computational_efficiency"] == pytest.approx(2 * macs / 1e6 / 30.0)


def test_quantized_tensors_are_counted_as_they_are_stored() -> None:
    scale = ["s", "z"]
    nodes = [
        ("QuantizeLinear", ["x", *scale], "xq", {}),
        ("DequantizeLinear", ["xq", *scale], "xd", {}),
        ("DequantizeLinear", ["wq", *scale], "wd", {}),
        ("Conv", ["xd", "wd"], "a", {}),
        ("QuantizeLinear", ["a", *scale], "aq", {}),
        ("DequantizeLinear", ["aq", *scale], "y", {}),
    ]
    made = [helper.make_node(op, inputs, [out], name=out) for op, inputs, out, _ in nodes]
    constants = [
        numpy_helper.from_array(np.float32(0.1).reshape(()), "s"),
        numpy_helper.from_array(np.zeros((), np.int8), "z"),
        numpy_helper.from_array(np.ones((64, 64, 1, 1), np.int8), "wq"),
    ]
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64, 8, 8])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64, 8, 8])
    model = ir.from_proto(helper.make_model(helper.make_graph(made, "g", [info], [out], constants)))
    ShapeInferencePass()(model)
    (kernel,) = kernels_of(model)
    assert (kernel.precision, kernel.bytes) == ("int8", 2 * MAP + 64 * 64)


def test_our_operators_are_counted() -> None:
    """By their examples: none of them may pass for elementwise, but the norms that are."""
    rng = np.random.default_rng(0)
    for name, operator in operators().items():
        inputs, attributes = operator.example(rng)
        outputs = operator.reference(inputs, operator.attribute_values(attributes))
        values = [ir.Value(name=f"i{i}", shape=ir.Shape(a.shape), type=_type(a)) for i, a in enumerate(inputs)]
        kept = ir.convenience.convert_attributes(attributes)
        node = ir.Node("edgevision", name, values, kept, num_outputs=len(outputs))
        for value, array in zip(node.outputs, outputs, strict=True):
            value.shape, value.type = ir.Shape(array.shape), _type(array.astype(np.float32))
        (kernel,) = kernels_of(ir.Model(ir.Graph(values, node.outputs, nodes=[node]), ir_version=10))
        assert (kernel.macs > 0) == (
            name not in {"EvChannelNorm", "EvResponseNorm", "EvIntegerNorm", "EvIntegerResponseNorm", "EvLookup"}
        ), name
        assert kernel.bytes == sum(a.nbytes for a in inputs) + sum(4 * o.size for o in outputs)


def _type(array: np.ndarray) -> ir.TensorType:
    return ir.TensorType(ir.DataType.from_numpy(array.dtype))


def test_an_unknown_shape_is_told() -> None:
    model = graph(RESIDUAL, WEIGHTS)
    next(iter(model.graph)).outputs[0].shape = None
    with pytest.raises(GraphError, match="shape"):
        kernels_of(model)


def test_peaks_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak_module, "SECONDS", 0.05)
    found = local_peaks(1)
    assert found.gemm_gops["fp32"] is not None
    assert found.gemm_gops["fp32"] > 0.1
    assert found.gemm_gops["int8"] is not None
    assert found.copy_gb_s > 0.01
    assert found.document()["waterline_ops_per_byte"]["fp32"] == pytest.approx(
        found.gemm_gops["fp32"] / found.copy_gb_s
    )
