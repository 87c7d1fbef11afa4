"""The DFT as a product, against ONNX Runtime's own DFT."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from edgevision.passes.dft_as_matmul import LARGEST, dft_as_matmul
from edgevision.proof import difference


def _model(shape: tuple, axis: int, length: int | None, opset: int, **flags: int) -> ir.Model:
    attributes = dict(flags)
    names = ["x", "" if length is None else "length"]
    if opset < 20:
        attributes["axis"] = axis
    else:
        names.append("axis")
    given = {"length": length, "axis": axis if opset >= 20 else None}
    constants = [onnx.helper.make_tensor(n, onnx.TensorProto.INT64, [], [v]) for n, v in given.items() if v is not None]
    node = onnx.helper.make_node("DFT", names, ["y"], name="transform", **attributes)
    make = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node], "g", [make("x", 1, shape)], [make("y", 1, [None] * len(shape))], initializer=constants
    )
    opsets = [onnx.helper.make_opsetid("", opset)]
    return ir.from_proto(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9))


def _run(model: ir.Model, x: np.ndarray) -> np.ndarray:
    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    return ort.InferenceSession(ir.to_proto(model).SerializeToString(), settings).run(None, {"x": x})[0]


@pytest.mark.parametrize("opset", [17, 20])
@pytest.mark.parametrize(
    ("shape", "axis", "length", "flags"),
    [
        ((2, 8, 5, 1), 1, None, {}),
        ((2, 8, 5, 1), 1, None, {"onesided": 1}),
        ((2, 8, 5, 2), 2, None, {"inverse": 1}),
        ((3, 9, 2), 1, 12, {}),
        ((3, 9, 2), 1, 6, {"inverse": 1}),
        ((2, 3, 56, 1), 2, None, {"onesided": 1}),
    ],
)
def test_it_equals_the_operator(shape: tuple, axis: int, length: int | None, flags: dict, opset: int) -> None:
    model = _model(shape, axis, length, opset, **flags)
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    before = _run(model, x)
    result = dft_as_matmul(model)
    assert [a.where for a in result.applied] == [("transform",)]
    assert result.applied[0].error_float64 <= 1e-9
    assert result.applied[0].error_float32 <= 1e-5
    assert "DFT" not in {node.op_type for node in model.graph}
    # ONNX Runtime's own float32 transform is the less exact of the two: 2e-5 at 56 samples.
    assert difference(before, _run(model, x)).max_abs_over_std <= 5e-5


@pytest.mark.parametrize("length", [None, 9])
def test_the_inverse_of_a_one_sided_transform_gives_the_signal_back(length: int | None) -> None:
    signal = np.random.default_rng(2).standard_normal((4, length or 8)).astype(np.float32)
    half = np.fft.rfft(signal)
    model = _model((4, half.shape[1], 2), 1, length, 20, inverse=1, onesided=1)
    dft_as_matmul(model)
    back = _run(model, np.stack([half.real, half.imag], -1).astype(np.float32))
    assert difference(signal[..., None], back).max_abs_over_std <= 1e-5


@pytest.mark.parametrize(
    ("shape", "length", "reason"),
    [((1, LARGEST + 1, 1), None, "samples"), (("n", "m", 1), None, "no fixed size")],
    ids=["too long", "open"],
)
def test_it_declines_with_a_reason(shape: tuple, length: int | None, reason: str) -> None:
    model = _model(shape, 1, length, 20)
    result = dft_as_matmul(model)
    assert not result.modified
    assert reason in result.declined[0].reason
    assert [node.op_type for node in model.graph] == ["DFT"]
