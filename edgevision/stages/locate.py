"""Where two computations part: the first module or tensor at which a graph leaves its reference.

The search is made when a proof has failed, to put a name into the error.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from edgevision.proof import difference
from edgevision.stages.samples import Array, run_graph

if TYPE_CHECKING:
    from torch import nn

__all__ = ["first_diverging_module", "first_diverging_tensor", "module_outputs", "scopes_of"]


def first_diverging_module(
    module: nn.Module, model: ir.Model, feed: Mapping[str, Array], tolerance: float, folder: Path
) -> str | None:
    """Name of the first submodule (in execution order) whose output in the graph differs from PyTorch's."""
    values = _last_value_of_modules(model)
    expected = module_outputs(module, list(feed.values()), set(values))
    names = [n for n in expected if n in values]
    got = _run_with_outputs(model, [values[n] for n in names], feed, folder)
    for name, result in zip(names, got, strict=True):
        reference = expected[name]
        if reference.shape == result.shape and difference(reference, result).max_abs_over_std > tolerance:
            return f"module {name}"
    return None


def first_diverging_tensor(
    before: ir.Model, after: ir.Model, feed: Mapping[str, Array], tolerance: float, folder: Path
) -> str | None:
    """Name of the first tensor that both graphs compute and that differs between them."""
    there = {v.name for v in _computed(before)}
    names = [v for v in _computed(after) if v.name in there]
    by_name = {v.name: v for v in _computed(before)}
    got = _run_with_outputs(after, names, feed, folder)
    expected = _run_with_outputs(before, [by_name[v.name] for v in names], feed, folder)
    for value, a, b in zip(names, expected, got, strict=True):
        if difference(a, b).max_abs_over_std > tolerance:
            producer = value.producer()
            return f"tensor {value.name} of {producer.op_type if producer else 'the input'}"
    return None


def _computed(model: ir.Model) -> list[ir.Value]:
    return [v for node in model.graph for v in node.outputs if v.name and v.dtype == ir.DataType.FLOAT]


def _last_value_of_modules(model: ir.Model) -> dict[str, ir.Value]:
    """For each module scope recorded at capture, the last tensor computed inside it."""
    last: dict[str, ir.Value] = {}
    for node in model.graph:
        if node.outputs[0].name:
            last |= dict.fromkeys(scopes_of(node), node.outputs[0])
    return last


def scopes_of(node: ir.Node) -> list[str]:
    """Names of the PyTorch modules that `node` was captured in, outermost ('', the whole) first; none where it says none."""
    scopes = node.metadata_props.get("edgevision.module")
    return [str(scope) for scope in ast.literal_eval(scopes)[:-1]] if scopes else []


def module_outputs(module: nn.Module, inputs: Sequence[Array], wanted: set[str]) -> dict[str, Array]:
    """Outputs of the wanted submodules at their first call, in the order in which they finish."""
    import torch

    found: dict[str, Array] = {}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                found.setdefault(name, output.detach().numpy().copy())

        return hook

    handles = [m.register_forward_hook(keep(n)) for n, m in module.named_modules() if n in wanted]
    try:
        with torch.no_grad():
            module(*(torch.from_numpy(v) for v in inputs))
    finally:
        for handle in handles:
            handle.remove()
    return found


def _run_with_outputs(model: ir.Model, values: list[ir.Value], feed: Mapping[str, Array], folder: Path) -> list[Array]:
    """Run the graph with `values` as its outputs. The graph's own outputs are put back."""
    own = list(model.graph.outputs)
    model.graph.outputs[:] = values
    try:
        return run_graph(model, [feed], folder)[0] if values else []
    finally:
        model.graph.outputs[:] = own
