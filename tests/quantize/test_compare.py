"""Comparing names the planted layer and its module, in memory that the group size bounds, whatever computes the two."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from numpy.typing import NDArray
from quantizing import plant_scale, quantized
from small_nets import Build, pictures, residual_net
from typer.testing import CliRunner
from workspace import Command

from edgevision.cli.main import app
from edgevision.errors import GraphError
from edgevision.pipeline import ExportOptions, export_bundle
from edgevision.quantize.compare import compare, module_of
from edgevision.quantize.compare_sides import GraphSide, OutputsSide
from edgevision.quantize.coverage import optimized_graph
from edgevision.quantize.judge import Speed
from edgevision.quantize.migrate_scales import migrate_scales
from edgevision.quantize.scheme import find_scheme
from edgevision.stages.quantize import QuantizeOptions
from edgevision.targets.onnxruntime import OnnxRuntime
from edgevision.targets.reference import Reference

FEEDS = [s.image[None] for s in pictures(2)]
VNNI = find_scheme("ort_x86_vnni", "ort")


def side(model: ir.Model) -> GraphSide:
    return GraphSide(model, Reference().load)


def planted(model: ir.Model, tensor: str) -> ir.Model:
    changed, _ = quantized(model, VNNI)
    scale = changed.graph.initializers[f"{tensor}_scale"]
    assert scale.const_value is not None
    scale.const_value = ir.tensor(np.float32(scale.const_value.numpy() / 8), name=scale.name)
    return changed


@pytest.mark.parametrize("tensor", ["v1", "v6", "v10"])
def test_planted_scale_is_named_whatever_lies_behind_it(tensor: str) -> None:
    model = residual_net()
    found = compare(side(model), side(planted(model, tensor)), FEEDS)
    assert found.worst.tensor == tensor
    assert found.first is not None
    assert found.first.tensor == tensor


def test_equal_graphs_and_honest_int8() -> None:
    model = residual_net()
    same = compare(side(model), side(model.clone()), FEEDS)
    assert (same.first, same.worst.relative_l2) == (None, 0.0)
    honest = compare(side(model), side(quantized(model, VNNI)[0]), FEEDS)
    assert honest.first is None
    assert 0 < honest.worst.introduced < 0.05


def test_a_runtime_fuses_what_it_is_looked_into() -> None:
    """All integers between its operators are shown, and it multiplies integers all the same."""
    model = residual_net()
    changed, _ = quantized(model, VNNI)
    kinds: list[dict[str, int]] = []

    def load(path: Path) -> object:
        ops = [node.op_type for node in optimized_graph(ir.load(path)).graph]
        kinds.append({kind: ops.count(kind) for kind in ("QLinearConv", "QLinearAdd", "Conv")})
        return OnnxRuntime(threads=1).load(path)

    found = compare(side(model), GraphSide(changed, load), FEEDS)  # type: ignore[arg-type]
    assert kinds == [{"QLinearConv": 5, "QLinearAdd": 1, "Conv": 0}]
    assert found.first is None
    assert 0 < found.worst.introduced < 0.05
    assert {layer.tensor for layer in found.layers} >= {"v1", "v3", "v6", "v8", "v10"}


def test_groups_bound_what_is_held_and_change_nothing() -> None:
    model, held = residual_net(), []

    class Counting(GraphSide):
        def values(self, names: Sequence[str], feeds: Sequence[NDArray]) -> Iterator[list[NDArray]]:
            for found in super().values(names, feeds):
                held.append(sum(array.nbytes for array in found))
                yield found

    whole = compare(side(model), side(planted(model, "v6")), FEEDS)
    parts = compare(side(model), Counting(planted(model, "v6"), Reference().load), FEEDS, group=100_000)
    assert parts.layers == whole.layers
    assert max(held) <= 100_000
    assert len(held) > 2 * 2


def test_what_a_recovery_technique_scaled_is_not_held_against_float() -> None:
    """It would be called the worst layer, and computes the same."""
    net = Build()
    rows = net.op("Reshape", net.image, net.constant(np.array([1, 48, 16], np.int64)))
    uneven = net.constant(np.logspace(-1, 2, 16).astype(np.float32))
    norm = net.op("LayerNormalization", rows, uneven, net.constant(np.zeros(16, np.float32)), axis=-1)
    weight = net.constant(net.rng.standard_normal((16, 16)).astype(np.float32))
    model = net.model(net.op("Relu", net.op("MatMul", norm, weight)))
    moved = model.clone()
    assert migrate_scales(moved, pictures(8)).modified
    found = compare(side(model), side(moved), FEEDS)
    assert "v1" not in {layer.tensor for layer in found.layers}
    assert found.worst.relative_l2 < 1e-5


def test_without_common_tensors() -> None:
    net = Build()
    net.image.name = "other"
    foreign = net.op("Relu", net.image)
    foreign.name = "foreign"
    with pytest.raises(GraphError, match="no tensor name in common"):
        compare(side(residual_net()), side(net.model(foreign)), FEEDS)


def test_a_runtime_of_which_only_the_outputs_are_seen(tmp_path: Path) -> None:
    model = residual_net()
    ir.save(quantized(model, VNNI)[0], tmp_path / "int8.onnx")
    with Reference().load(tmp_path / "int8.onnx") as runner:
        found = compare(side(model), OutputsSide(model, runner), FEEDS)
    assert [layer.tensor for layer in found.layers] == [model.graph.outputs[0].name]
    assert 0 < found.worst.relative_l2 < 0.05


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo model with its trained weights: float, INT8, and INT8 with one scale eight times too small."""
    folder = tmp_path_factory.mktemp("van")
    plain = ExportOptions(model="van_digits", target="ort", out=folder / "float", samples=1)
    how = QuantizeOptions(data="digits", scheme="ort_x86_vnni", images=32, calibrator="min-max")
    with pytest.MonkeyPatch.context() as patch:
        fast = Speed(ratio=2, interval=(1.9, 2.1), first_ms=2, second_ms=1, pairs=9)
        patch.setattr("edgevision.quantize.quantize.race", lambda *_, **__: fast)
        export_bundle(plain)
        export_bundle(replace(plain, precision="int8", quantize=how, out=folder / "int8"))
    shutil.copytree(folder / "int8", folder / "planted")
    plant_scale(folder / "planted", str(victim(ir.load(folder / "planted" / "model.onnx")).name))
    return folder


def victim(model: ir.Model) -> ir.Value:
    """What the second of the quantized convolutions writes."""
    written = [n.inputs[0] for n in model.graph if n.op_type == "QuantizeLinear" and n.inputs[0] is not None]
    found = [v for v in written if v.producer() is not None and v.producer().op_type == "Conv"]  # type: ignore[union-attr]
    return found[1]


def test_pytorch_against_a_zoo_models_bundles(bundles: Path, edgevision: Command) -> None:
    def found(b: str) -> dict[str, object]:
        return edgevision("compare", "van_digits", bundles / b, "--data", "digits", "--json").document

    same, int8, planted = (found(b) for b in ("float", "int8", "planted"))
    assert same["kinds"] == ["PyTorch", "ONNX Runtime"]
    assert len(same["layers"]) > 20
    assert same["worst"]["relative_l2"] < 1e-4
    assert int8["first"] is None and 1e-4 < int8["worst"]["introduced"] < 0.1
    model = ir.load(bundles / "planted" / "model.onnx")
    node = next(n for n in model.graph if n.outputs[0].name == planted["worst"]["tensor"])
    assert planted["worst"]["tensor"] == planted["first"]["tensor"] == victim(model).name
    assert planted["worst"]["module"] == module_of(node) != ""


def test_pytorch_with_other_weights_is_warned_of(bundles: Path, edgevision: Command, tmp_path: Path) -> None:
    from edgevision.registry import create_model

    torch.save(create_model("van_digits").state_dict(), tmp_path / "other.pth")
    ended = edgevision("compare", "van_digits", bundles / "float", "--weights", tmp_path / "other.pth")
    assert "different weights" in ended.err and "compared on noise" in ended.err
    assert "of block1.0" in ended.out or "of patch_embed1" in ended.out


def test_core_ml_is_looked_into_by_node(edgevision: Command, tmp_path: Path) -> None:
    pytest.importorskip("coremltools")
    export_bundle(ExportOptions(model="tiny:classifier", target="coreml", out=tmp_path / "coreml", precision="fp16"))
    found = edgevision("compare", "tiny:classifier", tmp_path / "coreml", "--json").document
    assert found["kinds"] == ["PyTorch", "coreml, emulated"]
    assert {layer["module"] for layer in found["layers"]} >= {"norm", "head"}
    assert 1e-6 < found["worst"]["relative_l2"] < 1e-2


def test_what_is_not_there_or_not_used(bundles: Path, edgevision: Command) -> None:
    absent = edgevision("compare", bundles / "float", bundles / "absent", "--json")
    assert (absent.code, absent.error["reason"]) == (7, "there is no such file or bundle")
    unused = edgevision("compare", bundles / "float", bundles / "int8", "--weights", "a.pth", "--json")
    assert unused.code == 2 and "neither A nor B is a PyTorch model" in unused.error["reason"]


def test_an_engine_without_its_gpu(
    tiny_bundle: Path, edgevision: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_bundle, tmp_path / "trt")
    manifest = json.loads((tmp_path / "trt" / "manifest.json").read_text())
    manifest["target"]["name"] = "trt"
    (tmp_path / "trt" / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr("edgevision.quantize.compare_inputs.open_artifact", lambda *_: None)
    ended = edgevision("compare", tiny_bundle, tmp_path / "trt", "--json")
    assert ended.code == 5
    assert ended.error["mend"] == f"give its graph instead: {tmp_path / 'trt' / 'model.onnx'}"


def test_command_line(tmp_path: Path) -> None:
    model = residual_net()
    ir.save(model, tmp_path / "a.onnx")
    ir.save(planted(model, "v6"), tmp_path / "b.onnx")
    np.save(tmp_path / "data.npy", np.stack([s.image for s in pictures(3)]))
    command = ["compare", str(tmp_path / "a.onnx"), str(tmp_path / "b.onnx"), "--data", str(tmp_path / "data.npy")]
    result = CliRunner().invoke(app, [*command, "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["worst"]["tensor"] == "v6"
    assert "v6 (Relu)" in CliRunner().invoke(app, command).stdout
