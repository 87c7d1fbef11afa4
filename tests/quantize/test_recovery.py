"""Each recovery technique mends the case it is for, changes nothing in float, and says where it does not apply."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from quantizing import run, signal_to_noise
from small_nets import Build, pictures, residual_net

from edgevision.calibration.calibrators import calibrated
from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES
from edgevision.passes.attach_bodies import attach_bodies
from edgevision.quantize.equalize import equalize
from edgevision.quantize.insert import insert
from edgevision.quantize.migrate_scales import migrate_scales
from edgevision.quantize.observe import observe
from edgevision.quantize.plan import make_plan
from edgevision.quantize.scan_inputs import scan_projections
from edgevision.quantize.scheme import find_scheme

FEED = np.concatenate([s.image[None] for s in pictures(1, seed=9)])


def int8_snr(model: ir.Model, exact: np.ndarray, folder: Path, exclude: tuple[str, ...] = ()) -> float:
    """Of `model` in INT8 at the default scheme of x86, against the float outputs `exact`."""
    scheme = find_scheme("ort_x86_vnni", "ort")
    copy = model.clone()
    plan = make_plan(copy, scheme, exclude)
    seen = observe(model, [str(v.name) for v in plan.tensors], pictures())
    insert(copy, plan, scheme, {k: calibrated(h, "min-max") for k, h in seen.items()}, "min-max")
    return signal_to_noise(exact, run(copy, FEED, folder))


def uneven_pair(middle: Callable[[Build, ir.Value], ir.Value]) -> ir.Model:
    """Two convolutions; the channels between them are 1 to 3,000 times as large as each other, and it cancels out."""
    net = Build()
    spread = np.logspace(0, 3.5, 16).astype(np.float32)
    first = net.rng.standard_normal((16, 3, 3, 3)).astype(np.float32) * spread[:, None, None, None]
    bias = net.rng.standard_normal(16).astype(np.float32) * spread
    second = net.rng.standard_normal((8, 16, 1, 1)).astype(np.float32) / spread[None, :, None, None]
    wide = net.op("Conv", net.image, net.constant(first), net.constant(bias), pads=[1, 1, 1, 1])
    narrow = net.op("Conv", middle(net, wide), net.constant(second), net.constant(np.zeros(8, np.float32)))
    return net.model(net.op("Relu", net.op("Conv", narrow, net.constant(np.eye(8, dtype=np.float32)[..., None, None]))))


def relu(net: Build, x: ir.Value) -> ir.Value:
    return net.op("Relu", x)


def squeeze_and_excite(net: Build, x: ir.Value) -> ir.Value:
    on = net.op("Relu", x)
    weight = np.full((16, 16, 1, 1), 1e-4, np.float32)
    gate = net.op("Sigmoid", net.op("Conv", net.op("GlobalAveragePool", on), net.constant(weight)))
    return net.op("Mul", on, gate)


@pytest.mark.parametrize("middle", [relu, squeeze_and_excite])
def test_equalization_mends_uneven_channels(middle: Callable[[Build, ir.Value], ir.Value], tmp_path: Path) -> None:
    model = uneven_pair(middle)
    exact = run(model, FEED, tmp_path)
    before = int8_snr(model, exact, tmp_path)
    evened = model.clone()
    result = equalize(evened)
    assert result.modified
    assert np.abs(run(evened, FEED, tmp_path) - exact).max() < 1e-5 * exact.std()
    assert int8_snr(evened, exact, tmp_path) > before + 6


def test_equalization_stops_at_what_is_not_homogeneous(tmp_path: Path) -> None:
    model = uneven_pair(lambda net, x: net.op("Sigmoid", x))
    result = equalize(model)
    assert any("Sigmoid" in no.reason for no in result.declined)
    whole = residual_net()
    exact = run(whole, FEED, tmp_path)
    assert equalize(whole).modified
    assert np.abs(run(whole, FEED, tmp_path) - exact).max() < 2e-5 * exact.std()


def norm_net(reader: str = "MatMul") -> ir.Model:
    """A layer norm, two of whose channels are a hundred times as large as the rest, and two linear readers."""
    net = Build()
    rows = net.op("Reshape", net.image, net.constant(np.array([1, 48, 16], np.int64)))
    scale = np.ones(16, np.float32)
    scale[[3, 7]] = 100
    norm = net.op("LayerNormalization", rows, net.constant(scale), net.constant(0.1 * scale), axis=-1)
    weight = net.rng.standard_normal((16, 16)).astype(np.float32)
    weight[[3, 7]] /= 100
    one = net.op("MatMul", norm, net.constant(weight))
    two = net.op("MatMul", norm, net.constant(weight[:, ::-1].copy())) if reader == "MatMul" else net.op("Erf", norm)
    return net.model(net.op("Add", one, two))


def test_migration_mends_outliers_of_a_norm(tmp_path: Path) -> None:
    model = norm_net()
    exact = run(model, FEED, tmp_path)
    before = int8_snr(model, exact, tmp_path)
    moved = model.clone()
    assert len(migrate_scales(moved, pictures(8)).applied) == 1
    assert np.abs(run(moved, FEED, tmp_path) - exact).max() < 1e-5 * exact.std()
    assert int8_snr(moved, exact, tmp_path) > before + 10


def test_migration_leaves_a_norm_that_others_read() -> None:
    model = norm_net("Erf")
    result = migrate_scales(model, pictures(8))
    assert not result.modified
    assert "Erf" in result.declined[0].reason


def scan_net() -> ir.Model:
    """A scan whose steps, B and C are projected from its signal; the steps of its channels span four decades; a gate behind it."""
    net = Build()
    rows = net.op("Reshape", net.image, net.constant(np.array([1, 16, 48], np.int64)))
    across = net.op("Transpose", rows, perm=[0, 2, 1])
    inputs = [rows]
    for out, spread in ((16, np.logspace(-2.5, 1.5, 16)), (4, np.ones(4)), (4, np.ones(4))):
        weight = (net.rng.standard_normal((16, out)) * spread / 4).astype(np.float32)
        turned = net.op("Transpose", net.op("MatMul", across, net.constant(weight)), perm=[0, 2, 1])
        shape = [1, 16, 48] if out == 16 else [1, 1, 4, 48]
        inputs.append(net.op("Reshape", turned, net.constant(np.array(shape, np.int64))))
    decay = net.constant(-np.tile(np.arange(1, 5, dtype=np.float32), (16, 1)) / 8)
    gate = net.op("MatMul", across, net.constant(net.rng.standard_normal((16, 16)).astype(np.float32) / 4))
    inputs.append(net.op("Sigmoid", net.op("Transpose", gate, perm=[0, 2, 1])))
    model = net.model(*inputs)
    rows, delta, b, c, gate = model.graph.outputs
    graph = model.graph
    scan = ir.node(
        "EvSelectiveScan",
        [rows, delta, graph.initializers[decay.name], b, c],
        {"delta_softplus": 1, "reverse": [0], **PLUGIN_ATTRIBUTES},
        domain=DOMAIN,
        name="scan",
    )
    gated = ir.node("Mul", [scan.outputs[0], gate])
    for node, name in ((scan, "scanned"), (gated, "gated")):
        out = node.outputs[0]
        out.name, out.shape, out.type = name, ir.Shape((1, 16, 48)), ir.TensorType(ir.DataType.FLOAT)
    graph.extend([scan, gated])
    graph.outputs.clear()
    graph.outputs.append(gated.outputs[0])
    graph.opset_imports[DOMAIN] = 1
    attach_bodies(model)
    return model


def test_steps_of_a_scan_stay_float(tmp_path: Path) -> None:
    model = scan_net()
    exact = run(model, FEED, tmp_path)
    kept = scan_projections(model)
    assert len(kept) == 3
    assert int8_snr(model, exact, tmp_path, kept) > int8_snr(model, exact, tmp_path) + 10
