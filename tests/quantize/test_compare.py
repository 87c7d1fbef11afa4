"""Comparing names the planted layer, in memory that the group size bounds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from quantizing import quantized
from small_nets import Build, pictures, residual_net
from typer.testing import CliRunner

from edgevision.cli.main import app
from edgevision.errors import GraphError
from edgevision.quantize import compare as module
from edgevision.quantize.compare import compare
from edgevision.quantize.scheme import find_scheme

FEEDS = [{"image": s.image[None]} for s in pictures(2)]


def planted(model: ir.Model, tensor: str) -> ir.Model:
    changed, _ = quantized(model, find_scheme("ort_x86_vnni", "ort"))
    scale = changed.graph.initializers[f"{tensor}_scale"]
    assert scale.const_value is not None
    scale.const_value = ir.tensor(np.float32(scale.const_value.numpy() / 8), name=scale.name)
    return changed


@pytest.mark.parametrize("tensor", ["v1", "v6", "v10"])
def test_planted_scale_is_named_whatever_lies_behind_it(tensor: str) -> None:
    model = residual_net()
    found = compare(model, planted(model, tensor), FEEDS)
    assert found.worst.tensor == tensor
    assert found.first is not None
    assert found.first.tensor == tensor


def test_equal_graphs_and_honest_int8() -> None:
    model = residual_net()
    same = compare(model, model.clone(), FEEDS)
    assert (same.first, same.worst.relative_l2) == (None, 0.0)
    honest = compare(model, quantized(model, find_scheme("ort_x86_vnni", "ort"))[0], FEEDS)
    assert honest.first is None
    assert 0 < honest.worst.introduced < 0.05


def test_groups_bound_what_is_held_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, held = residual_net(), []
    inner = module._run

    def counting(model: ir.Model, names: list[str], feed: object, folder: Path) -> object:
        results = inner(model, names, feed, folder)  # type: ignore[arg-type]
        held.append(sum(r.nbytes for r in results))
        return results

    whole = compare(model, planted(model, "v6"), FEEDS)
    monkeypatch.setattr(module, "_run", counting)
    parts = compare(model, planted(model, "v6"), FEEDS, group=100_000)
    assert parts.layers == whole.layers
    assert max(held) <= 100_000
    assert len(held) > 2 * 2 * 2


def test_graphs_without_common_tensors() -> None:
    net = Build()
    net.image.name = "other"
    foreign = net.op("Relu", net.image)
    foreign.name = "foreign"
    with pytest.raises(GraphError, match="no tensor name in common"):
        compare(residual_net(), net.model(foreign), FEEDS)


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
