"""What half precision may cost: measured on the twin of this very graph, so that a wrong pass or kernel still shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from nets import Net, scan_net

from edgevision.errors import GraphError
from edgevision.stages.samples import Samples, samples_of_graph
from edgevision.stages.verify import TOLERANCES, Verified, verify_artifact
from edgevision.targets.target import Artifact
from edgevision.targets.tensorrt import TensorRT
from edgevision.targets.tensorrt.prepare import Prepared, prepare


def _samples(model: ir.Model, folder: Path) -> Samples:
    shape = [int(dim) for dim in model.graph.inputs[0].shape]
    feeds = [{"x": np.random.default_rng(n).standard_normal(shape).astype(np.float32)} for n in range(3)]
    return samples_of_graph(model, feeds, folder, "the graph")


def _verify(prepared: Prepared, samples: Samples, folder: Path, precision: str = "fp16") -> Verified:
    """As if the engine had been built where it cannot run."""
    graph = folder / "model.trt.onnx"
    ir.save(prepared.model, graph)
    kept = None if precision == "bf16" else graph
    artifact = Artifact(path=folder / "model.engine", runnable=False, graph=kept, twin=prepared.twin)
    return verify_artifact(artifact, TensorRT(), samples, TOLERANCES[precision])


def test_the_tolerance_is_twice_what_rounding_costs_each_output(scans: ir.Model, tmp_path: Path) -> None:
    samples = _samples(scans, tmp_path)
    verified = _verify(prepare(scans, precision="fp16", use_plugins=True, batch=2), samples, tmp_path)
    rounding, graph = verified.proofs
    assert "rounded" in rounding.what and "model.trt.onnx" in graph.what
    assert 1e-4 < rounding.max_abs_over_std < TOLERANCES["fp16"]
    assert verified.parity.tolerance == pytest.approx(2 * rounding.max_abs_over_std)
    assert len(verified.parity.tolerances) == 2
    assert max(verified.parity.tolerances) == verified.parity.tolerance
    assert graph.max_abs_over_std <= verified.parity.tolerance
    assert verified.parity.status == "built, not run"
    assert not verified.warnings


def test_bfloat16_has_the_proof_of_its_twin(scans: ir.Model, tmp_path: Path) -> None:
    """ONNX Runtime's CPU cannot run the graph itself."""
    prepared = prepare(scans, precision="bf16", use_plugins=True, batch=2)
    (rounding,) = _verify(prepared, _samples(scans, tmp_path), tmp_path, "bf16").proofs
    assert 4e-3 < rounding.max_abs_over_std < TOLERANCES["bf16"]


def _other_decay(model: ir.Model) -> None:
    node = next(node for node in model.graph.all_nodes() if node.op_type == "EvSelectiveScan")
    key = node.op_identifier()
    wrong = model.functions[key].clone()
    for inner in wrong:
        if inner.op_type == "Exp":
            inner.op_type = "Sigmoid"
    model.functions[key] = wrong


def _swap_bands(model: ir.Model) -> None:
    """The forward transform's bank loses its order on the way into the parser's graph; the inverse's keeps it."""
    node = next(node for node in model.graph.all_nodes() if node.op_type == "EvDWT")
    array = node.inputs[1].const_value.numpy().copy()
    array[[0, 1]] = array[[1, 0]]
    bank = ir.Value(name="swapped", shape=node.inputs[1].shape, type=node.inputs[1].type)
    bank.const_value = ir.tensor(array, name="swapped")
    model.graph.register_initializer(bank)
    node.replace_input_with(1, bank)


@pytest.mark.parametrize("spoil", [_other_decay, _swap_bands])
def test_a_wrong_graph_fails_although_it_is_half_precision(spoil, scans: ir.Model, tmp_path: Path) -> None:
    prepared = prepare(scans, precision="fp16", use_plugins=True, batch=2)
    spoil(prepared.model)
    with pytest.raises(GraphError, match=r"model\.trt\.onnx in ONNX Runtime, differs from the graph in output \d"):
        _verify(prepared, _samples(scans, tmp_path), tmp_path)


def _large(factor: float) -> ir.Model:
    net = Net()
    x = net.op("Mul", net.input("x", 2, 6), net.constant(np.float32(factor)))
    return net.done(net.op("Mul", x, net.constant(np.float32(1 / factor))))


def test_a_network_beyond_the_formats_range_is_refused(tmp_path: Path) -> None:
    model = _large(1e5)
    samples = _samples(model, tmp_path)
    with pytest.raises(GraphError, match="NaN or Inf: a tensor leaves the format's range") as raised:
        _verify(prepare(model, precision="fp16", use_plugins=False, batch=2), samples, tmp_path)
    assert "bf16" in raised.value.mend
    _verify(prepare(model, precision="bf16", use_plugins=False, batch=2), samples, tmp_path, "bf16")


def test_a_network_that_rounding_moves_far_is_warned_about(tmp_path: Path) -> None:
    """A difference of nearly equal numbers keeps few digits in half precision."""
    net = Net()
    x = net.input("x", 2, 6)
    shifted = net.op("Add", x, net.constant(np.float32(200.0)))
    model = net.done(net.op("Sub", shifted, net.constant(np.float32(200.0))), net.op("Relu", x))
    prepared = prepare(model, precision="fp16", use_plugins=False, batch=2)
    verified = _verify(prepared, _samples(model, tmp_path), tmp_path)
    (warning,) = verified.warnings
    assert warning.startswith("half precision alone moves output 0 by")
    assert verified.parity.tolerances[1] < TOLERANCES["fp16"] / 10, "the other output is held as tightly as ever"


def test_float32_has_no_twin() -> None:
    assert prepare(scan_net(), precision="fp32", use_plugins=True, batch=2).twin is None
