"""A PyTorch module as one side of a comparison: the outputs of its submodules, by the names of the tensors that equal them.

A graph does not say which of its tensors is the output of which module, and merging makes tensors that no module
computes. So both are run once: a module's output is the last tensor computed inside it that has the module's numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.proof import difference
from edgevision.quantize.compare import groups
from edgevision.quantize.compare_sides import GraphSide
from edgevision.stages.locate import module_outputs, scopes_of
from edgevision.targets.reference import Reference

if TYPE_CHECKING:
    from torch import nn

__all__ = ["TorchSide"]

Array = NDArray[Any]
#: relative_l2 below which a tensor is a module's output: float32 computes both, in different orders.
_SAME = 1e-3
#: So many of the last tensors of a module are tried: a norm or a residual sum behind its output may be merged into it.
_TRIED = 4
_GROUP = 128 * 2**20


class TorchSide:
    """A module in eval mode with the deploy graph that was made of it; `feed` is one input to find its tensors with."""

    def __init__(self, module: nn.Module, graph: ir.Model, feed: Array) -> None:
        self._module, self.graph = module, graph
        self._modules = _found(module, graph, feed)

    def offered(self) -> AbstractSet[str]:
        """Tensors that are a module's output."""
        return self._modules.keys()

    def values(self, names: Sequence[str], feeds: Sequence[Array]) -> Iterator[list[Array]]:
        """The module's own run on every feed; only the outputs that are asked for are kept."""
        for feed in feeds:
            found = module_outputs(self._module, [feed], {self._modules[name] for name in names})
            yield [found[self._modules[name]] for name in names]


def _found(module: nn.Module, model: ir.Model, feed: Array) -> dict[str, str]:
    """Tensor -> the module whose output it is, the innermost where there are several."""
    inside = _inside(model)
    graph = GraphSide(model, Reference().load)
    known = {str(v.name): v for node in model.graph for v in node.outputs if v.name in graph.offered()}
    tried = {name: [t for t in tensors if t in known][-_TRIED:] for name, tensors in inside.items()}
    wanted = {tensor: known[tensor] for tensors in tried.values() for tensor in tensors}
    found: dict[str, str] = {}
    for tensors in groups(wanted, _GROUP):
        got = dict(zip(tensors, next(graph.values(tensors, [feed])), strict=True))
        here = {name: [t for t in several if t in got] for name, several in tried.items()}
        for name, output in module_outputs(module, [feed], {n for n, some in here.items() if some}).items():
            same = [t for t in here[name] if difference(output, got[t]).relative_l2 < _SAME]
            if same:
                found.setdefault(same[-1], name)
    return found


def _inside(model: ir.Model) -> dict[str, list[str]]:
    """For each module, the tensors computed in it and in its own modules, in order."""
    inside: dict[str, list[str]] = {}
    for node in model.graph:
        for scope in scopes_of(node):
            inside.setdefault(scope, []).extend(str(v.name) for v in node.outputs)
    return inside
