"""The ONNX Runtime target on a MobileMamba of a few channels: what it makes of the graph, with kernels and without."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from numpy.typing import NDArray

from edgevision import export, native
from edgevision.manifest import Manifest, read_manifest
from edgevision.ops.operator import DOMAIN
from edgevision.proof import difference

FUSED = {"EvProjectedScan": 3, "EvChannelNorm": 3, "EvWaveletConv": 3}
SIDE = 96
#: One block a stage, no count of channels a multiple of the block.
SMALL = {"embed_dim": (48, 56, 72), "depth": (1, 1, 1), "num_classes": 10}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if native.why_not() is not None:
        pytest.skip("the kernel library is not built")
    out = tmp_path_factory.mktemp("ort") / "kernels"
    return export("mobilemamba_t2", target="ort", model_args=SMALL, input_size=(SIDE, SIDE), out=out)


@pytest.fixture(scope="module")
def bodies_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ort") / "bodies"
    return export("mobilemamba_t2", target="ort", model_args=SMALL, input_size=(SIDE, SIDE), plugins=False, out=out)


def manifest_of(bundle: Path) -> Manifest:
    return read_manifest(bundle / "manifest.json")


def types(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in ir.load(path).graph)


def outputs(path: Path, *, kernels: bool, threads: int = 1) -> NDArray[np.float32]:
    """As whoever has only ONNX Runtime would run the file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if kernels:
        options.register_custom_ops_library(str(path.parent / native.LIBRARY))
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).standard_normal((1, 3, SIDE, SIDE), np.float32)
    return np.asarray(session.run(None, {session.get_inputs()[0].name: image})[0])


def test_the_artifact_has_its_own_form_and_the_portable_graph_stays(bundle: Path) -> None:
    manifest = manifest_of(bundle)
    assert (manifest.graph.path, manifest.artifact["path"]) == ("model.onnx", "model.ort.onnx")
    portable, lowered = types(bundle / "model.onnx"), types(bundle / "model.ort.onnx")
    assert {"EvSelectiveScan", "EvDWT", "EvIDWT"} <= set(portable)
    assert not set(FUSED) & set(portable)
    assert {name: lowered[name] for name in FUSED} == FUSED
    assert not {"EvSelectiveScan", "EvDWT", "EvIDWT", "Concat", "Split", "ReduceSum", "Transpose"} & set(lowered)


def test_the_record_says_what_was_done(bundle: Path) -> None:
    (record,) = [r for r in manifest_of(bundle).stages if r.name == "compile"]
    (note,) = [note for note in record.notes if note.startswith("shaped for ONNX Runtime")]
    assert "3 fuse_wavelet_conv" in note
    assert not manifest_of(bundle).warnings[1:]  # that the weights are random, and nothing else


def test_it_is_proven_on_the_runtime(bundle: Path) -> None:
    parity = manifest_of(bundle).parity
    assert parity.status == "verified"
    assert parity.max_abs_over_std is not None
    assert parity.max_abs_over_std <= 5e-5


def test_the_lowered_file_runs_where_no_kernel_is(bundle: Path) -> None:
    """The fused operators carry bodies too; and on two threads the kernels compute what they do on one."""
    path = bundle / "model.ort.onnx"
    wanted = outputs(bundle / "model.onnx", kernels=False)
    for got in (outputs(path, kernels=False), outputs(path, kernels=True), outputs(path, kernels=True, threads=2)):
        assert difference(wanted, got).max_abs_over_std <= 5e-5


def test_without_plugins_nothing_is_fused(bodies_bundle: Path) -> None:
    manifest = manifest_of(bodies_bundle)
    assert manifest.artifact["path"] == "model.ort.onnx"
    assert manifest.artifact["library"] is None
    lowered = types(bodies_bundle / "model.ort.onnx")
    assert not set(FUSED) & set(lowered)
    assert {"EvSelectiveScan", "EvDWT", "EvIDWT"} <= set(lowered)
    assert not {"Concat", "ReduceSum"} & set(lowered)


def test_the_readme_runs_the_lowered_file(bundle: Path) -> None:
    readme = (bundle / "README.md").read_text("utf-8")
    assert 'InferenceSession("model.ort.onnx"' in readme


def test_every_fused_node_is_of_our_domain(bundle: Path) -> None:
    model = ir.load(bundle / "model.ort.onnx")
    assert {n.domain for n in model.graph if n.op_type in FUSED} == {DOMAIN}
    called = {n.op_identifier() for n in model.graph if n.domain == DOMAIN}
    assert called == {key for key in model.functions if key[0] == DOMAIN}


def test_a_graph_with_nothing_to_change_is_its_own_artifact(tiny_bundle: Path) -> None:
    """A classifier of three layers: no second copy of its weights."""
    assert manifest_of(tiny_bundle).artifact["path"] == "model.onnx"
    assert not (tiny_bundle / "model.ort.onnx").exists()


def test_a_network_without_operators_of_ours_gets_the_kernels_it_can_use(tmp_path: Path) -> None:
    """UniRepLKNet's portable graph is all standard; its layer norms and response norms become kernels."""
    if native.why_not() is not None:
        pytest.skip("the kernel library is not built")
    small = {"dims": (16, 16, 24, 24), "depths": (1, 1, 1, 1), "num_classes": 10}
    out = export("unireplknet_a", target="ort", model_args=small, input_size=(SIDE, SIDE), out=tmp_path / "bundle")
    portable, lowered = types(out / "model.onnx"), types(out / "model.ort.onnx")
    assert {"ReduceL2", "LayerNormalization", "Transpose"} <= set(portable)
    assert lowered["EvResponseNorm"] == 4
    assert lowered["EvChannelNorm"] == 5
    assert not {"ReduceL2", "Transpose"} & set(lowered)
    assert manifest_of(out).artifact["library"] == native.LIBRARY
    wanted = outputs(out / "model.onnx", kernels=False)
    for kernels in (False, True):
        assert difference(wanted, outputs(out / "model.ort.onnx", kernels=kernels)).max_abs_over_std <= 5e-5
