"""Graphs with our operators: as plugins that carry their machine code, or inlined, and the same in ONNX Runtime."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from nets import needs_rtx, scan_net

from edgevision.cache import Cache
from edgevision.errors import TargetError
from edgevision.ops.operator import DOMAIN
from edgevision.proof import worst_difference
from edgevision.spec import Batch
from edgevision.targets.tensorrt import TensorRT
from edgevision.targets.tensorrt.image import KernelImage
from edgevision.targets.tensorrt.kernels import Kernels
from edgevision.targets.tensorrt.prepare import prepare


def _run(model: ir.Model | Path, x: np.ndarray) -> list[np.ndarray]:
    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    settings.intra_op_num_threads = 1
    source = str(model) if isinstance(model, Path) else ir.to_proto(model).SerializeToString()
    session = ort.InferenceSession(source, settings, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


def _x(batch: int = 2) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((batch, 4, 7, 7)).astype(np.float32)


@needs_rtx
@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
def test_every_operator_is_a_plugin_layer_with_its_code(scans: ir.Model, bundle: Path) -> None:
    artifact = TensorRT(compute_capability="8.6").build(scans, bundle)
    record = json.loads((bundle / "engine.json").read_text())
    assert record["plugins"] == {"EvSelectiveScan": 2, "EvDWT": 1, "EvIDWT": 1}
    assert record["plugin_layers"] == 4
    nodes = prepare(scans, precision="fp32", use_plugins=True, batch=1).nodes
    assert not artifact.runnable or artifact.path.is_file()
    assert len(artifact.proofs) == 4
    engine = artifact.path.read_bytes()
    from edgevision.cache import default_cache

    images = Kernels(package="edgevision.plugins.triton", cache=default_cache(), timeout=60).images(nodes, bundle, None)
    for file in images.values():
        data = file.read_bytes()
        assert data in engine, "the engine carries the whole kernel image"
        architectures = {binary.architecture for binary in KernelImage.decode(data).binaries}
        assert architectures == {75, 80, 86, 87, 89, 90, 120}
    error = worst_difference(_run(scans, _x()), _run(bundle / "model.trt.onnx", _x()))
    assert error.relative_l2 <= 1e-6


@needs_rtx
def test_bfloat16_builds_with_transposed_convolutions_in_float32(scans: ir.Model, bundle: Path) -> None:
    """TensorRT for RTX has none in bfloat16; the body of an inverse wavelet transform is one."""
    TensorRT(plugins=False, precision="bf16", compute_capability="8.6").build(scans, bundle)
    record = json.loads((bundle / "engine.json").read_text())
    assert any("BFloat16" in layer["precision"] for layer in record["layers"])
    given = ir.load(bundle / "model.trt.onnx")
    back = [node for node in given.graph if node.op_type == "ConvTranspose"]
    assert back
    assert {node.outputs[0].dtype for node in back} == {ir.DataType.FLOAT}


@needs_rtx
def test_without_plugins_the_bodies_are_inlined_and_build(scans: ir.Model, bundle: Path) -> None:
    TensorRT(plugins=False, compute_capability="8.6").build(scans, bundle)
    record = json.loads((bundle / "engine.json").read_text())
    assert record["plugin_layers"] == 0
    given = ir.load(bundle / "model.trt.onnx")
    assert not given.functions
    assert {node.domain for node in given.graph.all_nodes()} == {""}
    assert not any(node.op_type in ("Scan", "Loop") for node in given.graph.all_nodes()), "no serial loop on a GPU"
    assert worst_difference(_run(scans, _x()), _run(given, _x())).max_abs_over_std <= 1e-5


@needs_rtx
@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
def test_plugins_take_an_open_batch(bundle: Path) -> None:
    model = scan_net(batch="batch")
    artifact = TensorRT(batch=Batch(1, 2, 4), compute_capability="8.6").build(model, bundle)
    record = json.loads((bundle / "engine.json").read_text())
    assert record["plugin_layers"] == 4
    assert record["outputs"][1]["shape"] == [None, 4, 7, 7]
    assert all(proof.samples == 2 for proof in artifact.proofs)


@needs_rtx
@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
def test_two_builds_with_plugins_are_byte_identical(scans: ir.Model, tmp_path: Path) -> None:
    engines = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        engines.append(TensorRT(compute_capability="8.6").build(scans, tmp_path / name).path.read_bytes())
    assert engines[0] == engines[1]


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
def test_two_compilations_of_a_kernel_are_byte_identical(scans: ir.Model, tmp_path: Path) -> None:
    """The build above takes its kernels from the cache; here there is none."""
    node = next(n for n in prepare(scans, precision="fp32", use_plugins=True, batch=1).nodes if n.operator == "EvIDWT")
    kernels = Kernels(package="edgevision.plugins.triton", cache=Cache(root=None), timeout=300)
    images = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (file,) = kernels.images([node], tmp_path / name, None).values()
        images.append(file.read_bytes())
    assert images[0] == images[1]


def test_a_node_that_fell_through_to_its_body_is_noticed() -> None:
    from edgevision.targets.tensorrt.build_engine import _check_plugins

    kinds = SimpleNamespace(LayerType=SimpleNamespace(PLUGIN_V3="plugin"))
    network = SimpleNamespace(num_layers=2, get_layer=lambda index: SimpleNamespace(type=("plugin", "scan")[index]))
    _check_plugins(kinds, network, {"EvDWT": 1})
    with pytest.raises(TargetError, match="has 1 plugin layers, the graph has 1 EvDWT, 2 EvIDWT"):
        _check_plugins(kinds, network, {"EvDWT": 1, "EvIDWT": 2})


def test_scans_of_several_lengths_without_plugins_are_right_in_half_precision(scans: ir.Model) -> None:
    prepared = prepare(scans, precision="fp16", use_plugins=False, batch=2)
    error = worst_difference(_run(scans, _x()), _run(prepared.model, _x()))
    assert 1e-5 < error.relative_l2 <= 5e-3


def test_preparing_leaves_the_source_as_it_is(scans: ir.Model) -> None:
    before = ir.to_proto(scans).SerializeToString()
    prepare(scans, precision="fp16", use_plugins=True, batch=1)
    prepare(scans, precision="bf16", use_plugins=False, batch=1)
    assert ir.to_proto(scans).SerializeToString() == before


def test_parameters_stay_float32_and_absent_inputs_are_filled(scans: ir.Model) -> None:
    prepared = prepare(scans, precision="fp16", use_plugins=True, batch=1)
    for node in prepared.model.graph.all_nodes():
        if node.domain == DOMAIN and node.op_type == "EvSelectiveScan":
            types = [value.dtype for value in node.inputs]
            half, full = ir.DataType.FLOAT16, ir.DataType.FLOAT
            assert types == [half, half, full, half, half, full, full]
            assert None not in node.inputs


def test_bfloat16_keeps_the_operators_in_float32(scans: ir.Model) -> None:
    prepared = prepare(scans, precision="bf16", use_plugins=True, batch=1)
    assert all(node.call.types[0] == "fp32" for node in prepared.nodes)


def test_a_call_no_plugin_takes_is_inlined_and_said(scans: ir.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgevision.targets.tensorrt.plugins import selective_scan

    monkeypatch.setattr(selective_scan, "MAX_GROUPS", 1)
    prepared = prepare(scans, precision="fp32", use_plugins=True, batch=1)
    assert prepared.counts == {"EvDWT": 1, "EvIDWT": 1}
    assert sum("inlined" in note and "2 groups" in note for note in prepared.notes) == 2
