"""Blocks as papers train them, exported by torch's dynamo exporter, end as one convolution each, under any names."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import onnx_ir as ir
import pytest
import torch
from net import anonymise, merged, ops
from torch import Tensor, nn

from edgevision.random_weights import randomise_


class Branches(nn.Module):
    """Convolutions with norms beside each other, and an identity with a norm where the shape allows."""

    def __init__(self, channels: int, shapes: list[tuple[int, int, int]], groups: int, identity: bool = True) -> None:
        super().__init__()
        self.identity = nn.BatchNorm2d(channels) if identity else None
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, k, 1, d * (k - 1) // 2, d, groups, bias=False), nn.BatchNorm2d(channels)
            )
            for k, d, count in shapes
            for _ in range(count)
        )

    def forward(self, x: Tensor) -> Tensor:
        total = sum(branch(x) for branch in self.branches)  # the exporter writes 0 + first branch
        return total if self.identity is None else self.identity(x) + total


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.repvgg = Branches(8, [(3, 1, 1), (1, 1, 1)], groups=1)
        self.mobileone = Branches(8, [(3, 1, 4), (1, 1, 1)], groups=8)
        self.dilated = Branches(8, [(13, 1, 1), (5, 1, 1), (7, 2, 1), (3, 3, 1), (3, 4, 1)], groups=8, identity=False)
        self.norm = nn.BatchNorm2d(8)
        self.layer_scale = nn.Parameter(torch.ones(8))
        self.head = nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.repvgg(x).relu()
        x = self.mobileone(x).relu()
        x = x + self.layer_scale[:, None, None] * self.norm(self.dilated(x))
        logits: Tensor = self.head(x.relu().mean((2, 3)))
        return logits


@pytest.fixture(scope="module")
def exported() -> ir.Model:
    """The network's inference graph, its batch open."""
    module = Network().eval()
    randomise_(module)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (torch.randn(2, 8, 15, 16),),
            dynamo=True,
            optimize=False,
            verbose=False,
            dynamic_shapes={"x": {0: torch.export.Dim("n")}},
        )
    assert program is not None
    return program.model


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_every_block_ends_as_one_conv(exported: ir.Model, seed: int | None) -> None:
    model = exported.clone()
    if seed is not None:
        anonymise(model, seed)
    result = merged(model, n=3)
    left = ops(result.model)
    assert (left["Conv"], left["Gemm"], left["BatchNormalization"], left["Add"], left["Mul"]) == (3, 1, 0, 0, 0)
    kernels = [tuple(node.attributes.get_ints("kernel_shape")) for node in result.model.graph if node.op_type == "Conv"]
    assert kernels == [(3, 3), (3, 3), (13, 13)]


def test_merged_weights_keep_the_name_of_their_largest_branch(exported: ir.Model) -> None:
    result = merged(exported.clone(), n=3)
    names = set(result.model.graph.initializers)
    assert {"repvgg.branches.0.0.weight", "dilated.branches.0.0.weight", "head.1.weight", "head.1.bias"} <= names


def test_macs_and_parameters_shrink(exported: ir.Model) -> None:
    model = exported.clone()
    before = sum(np.prod(value.shape.numpy()) for value in model.graph.initializers.values() if value.shape)
    result = merged(model, n=3)
    after = sum(np.prod(value.shape.numpy()) for value in result.model.graph.initializers.values() if value.shape)
    assert after < before / 1.5
    for row in result.applied:
        assert row.nodes_after <= row.nodes_before
        assert row.macs_before is not None and row.macs_after is not None and row.macs_after <= row.macs_before
