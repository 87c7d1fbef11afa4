"""Two computations of one network layer by layer: where they part, and which layer puts most of the difference there.

Tensors that both offer under one name are compared. Each has its accumulated error, and the error its own node
*introduces*: the accumulated one less the largest of the compared tensors that feed it. The first tensor above the
threshold and the largest introduction are named. Tensors are taken in groups of bounded size, so memory does not grow
with the depth of the network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.errors import GraphError
from edgevision.proof import difference
from edgevision.quantize.compare_sides import Side
from edgevision.stages.locate import scopes_of

__all__ = ["Comparison", "Layer", "compare", "groups", "module_of"]

#: Bytes of the tensors looked at together.
GROUP = 128 * 2**20


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One tensor of both computations.

    Attributes:
        tensor: its name.
        op: what computes it in the reference's graph.
        module: the PyTorch module that comes from, empty where neither graph says.
        relative_l2: accumulated error, the largest over all feeds.
        max_abs_over_std: the same in the unit of proofs.
        introduced: how much of `relative_l2` is new here.
    """

    tensor: str
    op: str
    module: str
    relative_l2: float
    max_abs_over_std: float
    introduced: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All layers in the order of the reference's graph; `first` is None when none exceeds the threshold."""

    layers: tuple[Layer, ...]
    first: Layer | None
    worst: Layer
    threshold: float


def compare(
    reference: Side, result: Side, feeds: Sequence[NDArray[np.float32]], *, threshold: float = 0.1, group: int = GROUP
) -> Comparison:
    """Compare `result` with `reference` on `feeds` ([N, C, H, W] each); `threshold` is of relative_l2.

    Raises:
        GraphError: they have no tensor in common.
    """
    both = reference.offered() & result.offered()
    order = {str(v.name): v for node in reference.graph.graph for v in node.outputs if v.name in both}
    if not order:
        raise GraphError("compare", "the two have no tensor name in common", "compare two forms of one export")
    errors: dict[str, tuple[float, float]] = {}
    for names in groups(order, group):
        expected, got = reference.values(names, feeds), result.values(names, feeds)
        for a, b in zip(expected, got, strict=True):
            for name, one, other in zip(names, a, b, strict=True):
                error = difference(one, other)
                l2, most = errors.get(name, (0.0, 0.0))
                errors[name] = (max(l2, error.relative_l2), max(most, error.max_abs_over_std))
    modules = {str(v.name): module_of(node) for node in result.graph.graph for v in node.outputs}
    layers = tuple(_layers(reference.graph, errors, modules))
    return Comparison(
        layers=layers,
        first=next((layer for layer in layers if layer.relative_l2 > threshold), None),
        worst=max(layers, key=lambda layer: layer.introduced),
        threshold=threshold,
    )


def groups(values: Mapping[str, ir.Value], limit: int) -> Iterator[list[str]]:
    """Names in their order, as many at a time as take `limit` bytes, one at least."""
    group: list[str] = []
    held = 0
    for name, value in values.items():
        size = 4 * math.prod(d if isinstance(d, int) else 1 for d in value.shape or ())
        if group and held + size > limit:
            yield group
            group, held = [], 0
        group.append(name)
        held += size
    if group:
        yield group


def module_of(node: ir.Node) -> str:
    """The innermost PyTorch module that a node was captured in, empty where the graph does not say."""
    return (scopes_of(node) or [""])[-1]


def _layers(model: ir.Model, errors: Mapping[str, tuple[float, float]], modules: Mapping[str, str]) -> Iterator[Layer]:
    """Layers in order. What is not compared itself (a tensor that only one has) passes its inputs' error on."""
    carried: dict[str, float] = {}
    for node in model.graph:
        before = max((carried.get(str(v.name), 0.0) for v in node.inputs if v is not None), default=0.0)
        for value in node.outputs:
            name = str(value.name)
            error, most = errors.get(name, (before, 0.0))
            carried[name] = error
            if name in errors:
                yield Layer(
                    tensor=name,
                    op=node.op_type,
                    module=module_of(node) or modules.get(name, ""),
                    relative_l2=error,
                    max_abs_over_std=most,
                    introduced=0.0 if before == math.inf else error - before,
                )
