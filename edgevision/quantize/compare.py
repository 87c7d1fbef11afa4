"""Two graphs layer by layer: where they part, and which layer puts most of the difference there.

Tensors that both graphs compute under one name are compared; of a quantized tensor, the dequantized form. Each has its
accumulated error, and the error its own node *introduces*: the accumulated one less the largest of the compared
tensors that feed it. The first tensor above the threshold and the largest introduction are named. Tensors are taken
in groups of bounded size, so memory does not grow with the depth of the network.
"""

from __future__ import annotations

import ast
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.errors import GraphError
from edgevision.proof import difference
from edgevision.stages.samples import run_graph

__all__ = ["Comparison", "Layer", "compare"]

Feed = Mapping[str, NDArray[np.float32]]
#: Bytes of the tensors looked at together.
GROUP = 128 * 2**20


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One tensor of both graphs.

    Attributes:
        tensor: its name.
        op: what computes it in the first graph.
        module: the PyTorch module that comes from, empty where the graph does not say.
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
    """All layers in the order of the first graph; `first` is None when none exceeds the threshold."""

    layers: tuple[Layer, ...]
    first: Layer | None
    worst: Layer
    threshold: float


def compare(
    reference: ir.Model, result: ir.Model, feeds: Sequence[Feed], *, threshold: float = 0.1, group: int = GROUP
) -> Comparison:
    """Compare `result` with `reference` on `feeds`; `threshold` is of relative_l2.

    Raises:
        GraphError: they have no tensor in common.
    """
    pairs = _pairs(reference, result)
    if not pairs:
        raise GraphError("compare", "the graphs have no tensor name in common", "compare two forms of one export")
    errors: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory(prefix="edgevision-") as name:
        for names in _groups(reference, list(pairs), group):
            for feed in feeds:
                expected = _run(reference, names, feed, Path(name))
                got = _run(result, [pairs[n] for n in names], feed, Path(name))
                for tensor, a, b in zip(names, expected, got, strict=True):
                    error = difference(a, b)
                    l2, most = errors.get(tensor, (0.0, 0.0))
                    errors[tensor] = (max(l2, error.relative_l2), max(most, error.max_abs_over_std))
    layers = tuple(_layers(reference, errors))
    return Comparison(
        layers=layers,
        first=next((layer for layer in layers if layer.relative_l2 > threshold), None),
        worst=max(layers, key=lambda layer: layer.introduced),
        threshold=threshold,
    )


def _pairs(reference: ir.Model, result: ir.Model) -> dict[str, str]:
    """Tensor of `reference` -> the tensor of `result` that stands for it."""
    there = {str(v.name) for node in result.graph for v in node.outputs}
    pairs = {}
    for node in reference.graph:
        for value in node.outputs:
            name = str(value.name)
            dequantized = f"{name}_dequantized"
            if value.dtype in (None, ir.DataType.FLOAT) and node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
                if dequantized in there:
                    pairs[name] = dequantized
                elif name in there:
                    pairs[name] = name
    return pairs


def _groups(model: ir.Model, names: list[str], limit: int) -> Iterator[list[str]]:
    sizes = {str(v.name): _bytes(v) for node in model.graph for v in node.outputs}
    group: list[str] = []
    held = 0
    for name in names:
        if group and held + sizes[name] > limit:
            yield group
            group, held = [], 0
        group.append(name)
        held += sizes[name]
    if group:
        yield group


def _bytes(value: ir.Value) -> int:
    return 4 * math.prod(d if isinstance(d, int) else 1 for d in value.shape or ())


def _run(model: ir.Model, names: Sequence[str], feed: Feed, folder: Path) -> list[NDArray[np.generic]]:
    """The tensors called `names`; the graph's outputs are put back afterwards."""
    own = list(model.graph.outputs)
    known = {v.name: v for node in model.graph for v in node.outputs}
    wanted = [known[name] for name in names]
    for value in wanted:
        value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
    model.graph.outputs[:] = wanted
    try:
        return list(run_graph(model, [feed], folder)[0])
    finally:
        model.graph.outputs[:] = own


def _layers(model: ir.Model, errors: Mapping[str, tuple[float, float]]) -> Iterator[Layer]:
    """Layers in order. What is not compared itself (a tensor that only one graph has) passes its inputs' error on."""
    carried: dict[str, float] = {}
    for node in model.graph:
        before = max((carried.get(str(v.name), 0.0) for v in node.inputs if v is not None), default=0.0)
        for value in node.outputs:
            name = str(value.name)
            carried[name] = errors[name][0] if name in errors else before
            if name in errors:
                yield Layer(
                    tensor=name,
                    op=node.op_type,
                    module=_module(node),
                    relative_l2=errors[name][0],
                    max_abs_over_std=errors[name][1],
                    introduced=errors[name][0] - before,
                )


def _module(node: ir.Node) -> str:
    scopes = node.metadata_props.get("edgevision.module")
    found = [s for s in ast.literal_eval(scopes) if s] if scopes else []
    return str(found[-1]) if found else ""
