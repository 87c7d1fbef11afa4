"""Merged values come back under the official keys of the deploy form, and that network computes the same."""

from __future__ import annotations

import json
from pathlib import Path

import onnx_ir as ir
import pytest
import torch
from net import ops
from workspace import Command

from edgevision.errors import GraphError, UsageError
from edgevision.proof import difference
from edgevision.registry import create_model
from edgevision.reparam import reparameterize
from edgevision.reparam.deploy_keys import deploy_state
from edgevision.spec import ZooModel
from edgevision.stages.capture import CaptureOptions, capture
from edgevision.stages.load import Loaded, LoadOptions, load
from edgevision.stages.samples import samples_of_module

SMALL = {
    "unireplknet_a": {"depths": (1, 1, 0, 0), "dims": (8, 8, 8, 8), "kernels": ((3,), (13,), (3,), (3,))},
    "cfsr_x2": {"depths": (1,), "embed_dim": 8},
}


@pytest.fixture(scope="module", params=SMALL)
def captured(request: pytest.FixtureRequest) -> tuple[str, Loaded, ir.Model]:
    name = request.param
    loaded, _ = load(ZooModel(name), LoadOptions(input_size=(64, 64), model_args=SMALL[name]))
    return name, loaded, capture(loaded, CaptureOptions(), samples_of_module(loaded, [1], seed=0))[0]


def test_the_deploy_form_takes_the_merged_values(captured: tuple[str, Loaded, ir.Model]) -> None:
    name, loaded, graph = captured
    merged = reparameterize(graph.clone()).model
    network = create_model(name, deploy=True, **SMALL[name])
    network.load_state_dict(deploy_state(name, merged, SMALL[name]), strict=True)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, result = loaded.module(x), network(x)
    assert difference(expected.numpy(), result.numpy()).max_abs_over_std < 1e-5
    assert sum(p.numel() for p in network.parameters()) < sum(p.numel() for p in loaded.module.parameters())


def test_from_a_checkpoint_to_a_checkpoint(
    edgevision: Command, captured: tuple[str, Loaded, ir.Model], tmp_path: Path
) -> None:
    """`reparam NAME --weights training.pth --out deploy.pth`, which the deploy form takes strictly."""
    name, loaded, _ = captured
    if name != "unireplknet_a":
        pytest.skip("one architecture shows it")
    torch.save(loaded.module.state_dict(), tmp_path / "training.pth")
    fields = [part for key, value in SMALL[name].items() for part in ("--model-arg", f"{key}={json.dumps(value)}")]
    files = ("--weights", tmp_path / "training.pth", "--out", tmp_path / "deploy.pth")
    ended = edgevision("reparam", name, *fields, *files, "--input-size", "64x64")
    assert ended.code == 0, ended.err
    network = create_model(name, deploy=True, **SMALL[name])
    network.load_state_dict(torch.load(tmp_path / "deploy.pth", weights_only=True), strict=True)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert difference(loaded.module(x).numpy(), network(x).numpy()).max_abs_over_std < 1e-5


def test_a_graph_that_is_not_merged_is_refused(captured: tuple[str, Loaded, ir.Model]) -> None:
    name, _, graph = captured
    if name != "cfsr_x2":
        pytest.skip("one architecture shows it")
    kept = ops(graph)
    with pytest.raises(GraphError, match="not built like the deploy form") as error:
        deploy_state(name, graph, SMALL[name])
    assert f"{kept['Conv'] - ops(reparameterize(graph.clone()).model)['Conv']} Conv more" in str(error.value)


def test_an_architecture_without_a_deploy_form_is_refused() -> None:
    with pytest.raises(UsageError, match="no deploy form"):
        deploy_state("van_b0", ir.Model(ir.Graph([], [], nodes=[]), ir_version=10))
