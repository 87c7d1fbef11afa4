"""The computations that `compare` holds against each other, each by the names that the portable graph gives its tensors.

A graph can be asked for any of its tensors. Where one is quantized its integers are asked for and made floats here: a
DequantizeLinear that is a graph output would keep a runtime from fusing what it feeds. A runtime that is no graph shows
its nodes' results, or its outputs alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.quantize.channel_path import RESCALED
from edgevision.targets.target import Runner, Tracing

__all__ = ["GraphSide", "OutputsSide", "Side", "TracedSide"]

Array = NDArray[Any]
_BETWEEN = frozenset({"QuantizeLinear", "DequantizeLinear"})
_ABSORBED = frozenset({"Relu", "Clip"})


class Side(Protocol):
    """One computation of a network.

    Attributes:
        graph: in whose order and structure its tensors stand.
    """

    graph: ir.Model

    def offered(self) -> AbstractSet[str]:
        """Names of the tensors that can be asked for."""
        ...

    def values(self, names: Sequence[str], feeds: Sequence[Array]) -> Iterator[list[Array]]:
        """For each feed, the tensors called `names`."""
        ...


class GraphSide:
    """A graph, loaded by `load`: node by node by the reference target, or as its runtime fuses it."""

    def __init__(self, graph: ir.Model, load: Callable[[Path], Runner]) -> None:
        self.graph, self._load = graph, load
        self._forms = {str(v.name): _form(v) for v in _float_values(graph)}

    def offered(self) -> AbstractSet[str]:
        """Every float tensor that is computed, but for those that a recovery technique has scaled by channel."""
        return self._forms.keys()

    def values(self, names: Sequence[str], feeds: Sequence[Array]) -> Iterator[list[Array]]:
        """The graph with those tensors for its outputs, run on every feed."""
        forms = [self._forms[name] for name in names]
        own = list(self.graph.graph.outputs)
        with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
            path = Path(folder) / "shown.onnx"
            self.graph.graph.outputs[:] = list(dict.fromkeys(form.value for form in forms))
            try:
                ir.save(self.graph, path)
            finally:
                self.graph.graph.outputs[:] = own
            with self._load(path) as runner:
                shown = [info.name for info in runner.outputs]
                for feed in feeds:
                    found = dict(zip(shown, runner(feed), strict=True))
                    yield [form.floats(found[str(form.value.name)]) for form in forms]


class OutputsSide:
    """A runtime of which only the outputs are seen."""

    def __init__(self, graph: ir.Model, runner: Runner) -> None:
        self.graph, self._runner = graph, runner

    def offered(self) -> AbstractSet[str]:
        """The graph's outputs."""
        return {str(value.name) for value in self.graph.graph.outputs}

    def values(self, names: Sequence[str], feeds: Sequence[Array]) -> Iterator[list[Array]]:
        """The outputs called `names`, for every feed."""
        places = [str(value.name) for value in self.graph.graph.outputs]
        for feed in feeds:
            found = dict(zip(places, self._runner(feed), strict=True))
            yield [found[name] for name in names]


class TracedSide:
    """A runtime that shows what the nodes of `graph` gave in it, and its outputs."""

    def __init__(self, graph: ir.Model, runner: Runner, tracing: Tracing) -> None:
        self.graph, self._tracing, self._outputs = graph, tracing, OutputsSide(graph, runner)
        nodes = {str(v.name): _giving(v) for v in _float_values(graph)}
        shapes = {str(v.name): v.shape for v in _float_values(graph)}
        seen = tracing.traced({node for node in nodes.values() if node})
        self._nodes = {name: node for name, node in nodes.items() if node in seen and shapes[name] == seen[node]}

    def offered(self) -> AbstractSet[str]:
        """The outputs, and tensors whose node is seen in the shape that the graph has it."""
        return self._nodes.keys() | self._outputs.offered()

    def values(self, names: Sequence[str], feeds: Sequence[Array]) -> Iterator[list[Array]]:
        """What the nodes behind `names` gave, for every feed."""
        last = [name for name in names if name not in self._nodes]
        for feed in feeds:
            traced = self._tracing.trace(feed, {self._nodes[name] for name in names if name in self._nodes})
            found = {name: traced[self._nodes[name]] for name in names if name in self._nodes}
            if last:
                found |= zip(last, next(self._outputs.values(last, [feed])), strict=True)
            yield [found[name] for name in names]


@dataclass(frozen=True)
class _Form:
    """The tensor that is asked for, and how it becomes floats."""

    value: ir.Value
    scale: Array | None = None
    zero: Array | None = None

    def floats(self, array: Array) -> Array:
        if self.scale is None or self.zero is None:
            return array
        return (array.astype(np.float32) - self.zero.astype(np.float32)) * self.scale


def _giving(value: ir.Value) -> str:
    """The node after which the tensor is what its readers get: its DequantizeLinear, or its producer; '' for neither."""
    quantize, producer = _stored_as(value), value.producer()
    if quantize is not None:
        return next((str(use.node.name) for use in quantize.outputs[0].uses()), "")
    return str(producer.name) if producer is not None and len(producer.outputs) == 1 else ""


def _stored_as(value: ir.Value) -> ir.Node | None:
    """The QuantizeLinear that `value` goes through, with one constant scale; None where it stays float."""
    for use in value.uses():
        node = use.node
        if node.op_type == "QuantizeLinear" and use.idx == 0 and len(node.inputs) > 2:
            constants = [None if v is None else ir.convenience.get_const_tensor(v) for v in node.inputs[1:3]]
            if all(c is not None and c.size == 1 for c in constants):
                return node
    return None


def _form(value: ir.Value) -> _Form:
    quantize = _stored_as(value)
    if quantize is None:
        value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
        return _Form(value)
    scale, zero = (np.asarray(ir.convenience.get_const_tensor(v)).reshape(()) for v in quantize.inputs[1:3])  # type: ignore[arg-type]
    return _Form(quantize.outputs[0], scale, zero)


def _float_values(model: ir.Model) -> Iterator[ir.Value]:
    for node in model.graph:
        if node.op_type not in _BETWEEN and RESCALED not in node.metadata_props:
            yield from (v for v in node.outputs if v.name and v.dtype in (None, ir.DataType.FLOAT) and not _inner(v))


def _inner(value: ir.Value) -> bool:
    """Whether it leads to an activation alone that is quantized: a runtime makes one operator of the two."""
    uses = list(value.uses())
    if len(uses) != 1 or value.is_graph_output() or uses[0].node.op_type not in _ABSORBED:
        return False
    return _stored_as(uses[0].node.outputs[0]) is not None
