"""Engines from plain graphs: what is written, that it is the same twice, and every precision."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from nets import Net, conv_net, needs_rtx

from edgevision.errors import GraphError, TargetError
from edgevision.spec import Batch
from edgevision.targets.tensorrt import TensorRT

pytestmark = needs_rtx


def _record(folder: Path) -> dict:
    return json.loads((folder / "engine.json").read_text())


def test_two_builds_are_byte_identical_and_the_record_describes_them(plain: ir.Model, tmp_path: Path) -> None:
    hashes = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        heard: list[str] = []
        artifact = TensorRT(compute_capability="8.6,8.9").build(plain, folder, lambda what, _, h=heard: h.append(what))
        hashes.append(hashlib.sha256(artifact.path.read_bytes()).hexdigest())
        assert {"load", "parse", "write"} <= set(heard)
        assert any(what.startswith("build: ") for what in heard), "the builder's progress is passed on"
        assert {p.name for p in artifact.extra} == {"engine.json", "model.trt.onnx", "build.log"}
        assert all(p.is_file() for p in artifact.extra)
        assert sorted(p.name for p in folder.iterdir()) == sorted(
            [artifact.path.name, *(p.name for p in artifact.extra)]
        )
    assert hashes[0] == hashes[1]
    record = _record(tmp_path / "second")
    assert record["engine"]["sha256"] == hashes[0]
    assert record["flavor"] == "rtx"
    assert record["compute_capabilities"] == ["8.6", "8.9"]
    assert record["inputs"] == [{"name": "x", "dtype": "float", "shape": [1, 3, 8, 8]}]
    assert record["outputs"] == [{"name": "y0", "dtype": "float", "shape": [1, 5]}]
    assert record["layers"]
    assert {layer["precision"] for layer in record["layers"]} == {"Float"}
    nodes = {node for layer in record["layers"] for node in layer["nodes"]}
    assert any(node.startswith("Conv") for node in nodes), "a layer names the ONNX node it came from"
    assert record["memory_bytes"]["weights"] > 0
    assert record["plugins"] == {}
    assert record["quick_plugins"] == []


def test_an_open_batch_becomes_an_optimization_profile(bundle: Path) -> None:
    TensorRT(batch=Batch(1, 2, 5)).build(conv_net(batch="batch"), bundle)
    record = _record(bundle)
    assert record["inputs"][0]["shape"] == [None, 3, 8, 8]
    assert record["profiles"] == [{"x": [[1, 3, 8, 8], [2, 3, 8, 8], [5, 3, 8, 8]]}]


@pytest.mark.parametrize(("precision", "stored"), [("fp16", "Half"), ("bf16", "BFloat16")])
def test_a_half_precision_engine_stores_halves(precision: str, stored: str, plain: ir.Model, bundle: Path) -> None:
    TensorRT(precision=precision).build(plain, bundle)
    record = _record(bundle)
    assert any(stored in layer["precision"] for layer in record["layers"])
    assert record["inputs"][0]["dtype"] == "float"


def test_a_quantized_graph_computes_in_int8(bundle: Path) -> None:
    net = Net()
    scale, zero = net.constant(np.float32(0.02)), net.constant(np.int8(0))

    def quantized(value: ir.Value) -> ir.Value:
        narrow = net.op("QuantizeLinear", value, scale, zero)
        narrow.type = ir.TensorType(ir.DataType.INT8)
        return net.op("DequantizeLinear", narrow, scale, zero)

    x = quantized(net.input("x", 1, 16, 8, 8))
    y = net.op("Conv", x, quantized(net.weight(32, 16, 3, 3)), pads=[1, 1, 1, 1])
    model = net.done(net.op("Relu", y))
    TensorRT(precision="int8", compute_capability="8.6").build(model, bundle)
    layers = _record(bundle)["layers"]
    assert any("Int8" in layer["inputs"] for layer in layers if layer["kind"] == "correlation")


def test_a_dft_is_rewritten_before_the_parser_sees_it(bundle: Path) -> None:
    net = Net()
    y = net.op("DFT", net.input("x", 1, 8, 6, 1), None, net.constant(np.array(1, np.int64)), onesided=1)
    TensorRT(compute_capability="8.6").build(net.done(y), bundle)
    assert _record(bundle)["outputs"][0]["shape"] == [1, 5, 6, 2]


def test_a_file_nobody_here_wrote_builds(bundle: Path) -> None:
    path = Path(__file__).resolve().parents[4] / "shared" / "data" / "cfsr" / "CFSRx2.onnx"
    if not path.is_file():
        pytest.skip("the published CFSR graph is not here")
    model = ir.load(path)
    for value in model.graph.inputs:
        value.shape = ir.Shape([1, 3, 48, 40])
    TensorRT(compute_capability="8.6", precision="fp16").build(model, bundle)
    assert _record(bundle)["outputs"][0]["shape"][1:] == [3, 96, 80]


def test_what_the_builder_cannot_compile_is_said_with_its_reason(plain: ir.Model, bundle: Path) -> None:
    with pytest.raises(TargetError, match=r"Turing \(SM75\).*not supported"):
        TensorRT(compute_capability="7.5").build(plain, bundle)


@pytest.mark.parametrize(
    ("batch", "size", "axis"), [("batch", 8, 0), (1, "h", 2)], ids=["no range for the batch", "an open height"]
)
def test_an_open_input_without_a_range_is_refused(batch: int | str, size: int | str, axis: int, bundle: Path) -> None:
    options = TensorRT() if axis == 0 else TensorRT(batch=Batch(1, 2, 4))
    with pytest.raises(GraphError, match=f"input x: its dimension {axis} .* is open and has no range"):
        options.build(conv_net(batch=batch, size=size), bundle)
    assert list(bundle.iterdir()) == []
