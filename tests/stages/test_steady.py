"""Inputs on the edge of a decision are passed over, and a continuous network's are what they always were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from tiny import Classifier
from torch import Tensor, nn

from edgevision import check_bundle as check_bundle_module
from edgevision.cache import Cache
from edgevision.pipeline import ExportOptions, export_bundle
from edgevision.spec import parse_model
from edgevision.stages.load import LoadOptions, load
from edgevision.stages.samples import samples_of_module
from edgevision.stages.steady import Array, Chosen, Feed, choose_steady, graph_decides, module_decides


def router(feed: Feed) -> list[Array]:
    """One of two answers, by the sign of what the first two numbers sum up to."""
    return [np.array([1.0, 2.0]) if feed["x"][:2].sum() > 0 else np.array([-3.0, 5.0])]


def edge_then_clear(edges: int) -> object:
    """Draws that lie on the edge for the first so many seeds of each sample."""

    def draw(batch: int, seed: int) -> Feed:
        attempt = seed // 1000
        first = 1.0 if attempt < edges else 3.0
        return {"x": np.array([first, -1.0, float(seed), float(batch)], np.float32)}

    return draw


def test_an_input_on_an_edge_is_passed_over() -> None:
    chosen = choose_steady(router, edge_then_clear(2), [1, 4], seed=7)  # type: ignore[arg-type]
    assert [feed["x"][2] for feed in chosen.feeds] == list(chosen.seeds) == [2007, 2008]
    assert [feed["x"][3] for feed in chosen.feeds] == [1, 4]
    assert chosen.passed_over == 4
    assert "4 random inputs" in chosen.note
    assert [output[0].tolist() for output in chosen.outputs] == [[1.0, 2.0]] * 2


def test_a_network_that_has_nothing_but_edges_keeps_its_first_inputs() -> None:
    """Its proof fails then, and says what rounding costs."""
    chosen = choose_steady(router, edge_then_clear(10**6), [1], seed=7)  # type: ignore[arg-type]
    assert [feed["x"][2] for feed in chosen.feeds] == [7]
    assert (chosen.passed_over, chosen.note) == (0, "")


def test_whole_numbers_are_not_changed() -> None:
    """A token's index has no neighbours."""

    seen = []

    def lookup(feed: Feed) -> list[Array]:
        seen.append(feed["index"].tolist())
        return [feed["index"] * 1000.0]

    chosen = choose_steady(lookup, lambda batch, seed: {"index": np.arange(batch) + seed}, [3], seed=1)  # type: ignore[arg-type]
    assert chosen.passed_over == 0 and len(seen) > 1
    assert all(index == [1, 2, 3] for index in seen)


class Routed(nn.Module):
    """Every pixel goes to one of two convolutions by a sign."""

    def __init__(self) -> None:
        super().__init__()
        self.router, self.experts = nn.Conv2d(3, 1, 1, bias=False), nn.ModuleList(nn.Conv2d(3, 4, 1) for _ in range(2))

    def forward(self, image: Tensor) -> Tensor:
        chosen = self.router(image) > 0
        return torch.where(chosen, self.experts[0](image), self.experts[1](image)).amax((2, 3))


@pytest.mark.parametrize(("module", "decides"), [(Routed(), True), (Classifier(), False), (nn.Hardswish(), False)])
def test_what_decides_is_known(module: nn.Module, decides: bool) -> None:
    assert module_decides(module.eval(), (torch.zeros(1, 3, 8, 8),)) is decides


def test_a_continuous_network_keeps_the_inputs_of_its_seeds() -> None:
    loaded, _ = load(parse_model("tiny:classifier"), LoadOptions())
    samples = samples_of_module(loaded, [1, 2], seed=5)
    for index, (batch, feed) in enumerate(zip([1, 2], samples.feeds, strict=True)):
        (drawn,) = loaded.example(batch, 5 + index).values()
        assert np.array_equal(next(iter(feed.values())), drawn.numpy())
    assert samples.note == ""


def test_the_body_of_a_function_decides_too() -> None:
    x = ir.Input("x")
    node = ir.node("Sign", [x])
    body = ir.Function(
        "ours", "Hash", graph=ir.Graph([x], node.outputs, nodes=[node], opset_imports={"": 20}), attributes=[]
    )
    y = ir.Input("y")
    call = ir.node("Hash", [y], domain="ours")
    graph = ir.Graph([y], call.outputs, nodes=[call], opset_imports={"": 20, "ours": 1})
    assert graph_decides(ir.Model(graph, ir_version=10, functions=[body]))
    assert not graph_decides(ir.Model(graph.clone(), ir_version=10))


def test_a_file_that_decides_is_proven_and_verified_off_its_edges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third image of 16 numbers has one within a hundredth of a step of the floor's next one."""
    x = ir.Input("x", shape=ir.Shape([1, 16]), type=ir.TensorType(ir.DataType.FLOAT))
    step = ir.Value(name="step", const_value=ir.tensor(np.float32(1000), name="step"))
    scaled = ir.node("Mul", [x, step])
    floor = ir.node("Floor", scaled.outputs)
    floor.outputs[0].shape, floor.outputs[0].type = x.shape, x.type
    graph = ir.Graph([x], floor.outputs, nodes=[scaled, floor], initializers=[step], opset_imports={"": 20}, name="f")
    ir.save(ir.Model(graph, ir_version=10), tmp_path / "floor.onnx")
    options = ExportOptions(model=str(tmp_path / "floor.onnx"), target="ort", out=tmp_path / "out", samples=8)
    manifest = export_bundle(options, cache=Cache(root=None)).manifest
    assert any("were passed over" in warning for warning in manifest.warnings)
    verified: list[Feed] = []

    def spy(*given: Any, **named: Any) -> Chosen:
        chosen = choose_steady(*given, **named)
        verified.extend(chosen.feeds)
        return chosen

    monkeypatch.setattr(check_bundle_module, "choose_steady", spy)
    assert check_bundle_module.check_bundle(tmp_path / "out", samples=8).parity.status == "verified"
    beyond = [np.abs(feed["x"] * 1000 - np.rint(feed["x"] * 1000)) / np.abs(feed["x"] * 1000) for feed in verified]
    assert len(verified) == 8 and all(distance.min() > 1e-6 for distance in beyond)
