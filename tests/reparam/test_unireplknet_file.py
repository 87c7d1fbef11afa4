"""UniRepLKNet's training form as anybody would export it, given as a bare file: it merges without the model's code."""

from __future__ import annotations

import logging
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn
from workspace import Command

from edgevision.models.dilated_reparam import DilatedReparamBlock
from edgevision.proof import difference
from edgevision.random_weights import randomise_
from edgevision.registry import create_model

#: Three stages of large kernels: 13 with five dilated branches, 11 and 9 with fewer.
SMALL: dict[str, Any] = {
    "depths": (1, 1, 2, 1),
    "dims": (8, 8, 16, 16),
    "kernels": ((3,), (13,), (13, 11), (9,)),
    "num_classes": 10,
}
#: How `torch.onnx.export` is called: with nothing but model, input and file, and in the older exporter's dialect (which
#: by itself folds norms behind convolutions).
EXPORTERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "torchscript, as trained": {
        "dynamo": False,
        "do_constant_folding": False,
        "training": torch.onnx.TrainingMode.PRESERVE,  # type: ignore[attr-defined]
    },
}
SIDE = 64


@pytest.fixture(scope="module")
def network() -> nn.Module:
    module = create_model("unireplknet_a", **SMALL).eval()
    randomise_(module)
    return module


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_one_convolution_a_dilated_block_and_no_norm(
    edgevision: Command, network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exporter: str
) -> None:
    given, out = tmp_path / "given.onnx", tmp_path / "merged.onnx"
    x = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (x,), given, verbose=False, **EXPORTERS[exporter])
    wanted = linear_operators_of_the_deploy_form()
    for name in ("unireplknet", "dilated_reparam"):
        monkeypatch.setitem(sys.modules, f"edgevision.models.{name}", None)  # importing it would fail
    ended = edgevision("reparam", given, "--out", out, "--json")
    assert ended.code == 0, ended.err

    blocks = [module for module in network.modules() if isinstance(module, DilatedReparamBlock)]
    branches = sum(len(block.branches) for block in blocks)
    before, after = (kinds_and_kernels(path) for path in (given, out))
    assert before["grouped"] - after["grouped"] == branches > len(blocks) == 4
    assert before["BatchNormalization"] >= len(blocks)
    assert after["BatchNormalization"] == 0
    assert (after["13 grouped"], after["11 grouped"], after["9 grouped"], after["3 grouped"]) == (2, 1, 1, 1)
    assert after["grouped"] == sum(SMALL["depths"]), "one convolution a block, whatever its kernel"
    assert after["Conv"] + after["MatMul"] + after["Gemm"] == wanted

    session = ort.InferenceSession(out, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        assert difference(network(x).numpy(), result).max_abs_over_std < 1e-4


def kinds_and_kernels(path: Path) -> Counter[str]:
    """Nodes by type, and grouped convolutions by kernel size."""
    graph = onnx.load(path).graph
    shapes = {weight.name: tuple(weight.dims) for weight in graph.initializer}
    found = Counter(node.op_type for node in graph.node)
    for node in graph.node:
        if node.op_type == "Conv" and any(a.name == "group" and a.i > 1 for a in node.attribute):
            found.update(["grouped", f"{shapes[node.input[1]][-1]} grouped"])
    return found


def linear_operators_of_the_deploy_form() -> int:
    """Convolutions and linears of the network as its authors merge it."""
    deploy = create_model("unireplknet_a", deploy=True, **SMALL)
    return sum(isinstance(module, nn.Conv2d | nn.Linear) for module in deploy.modules())
