"""A package behind the interface of a runtime, computed by the reference evaluator: what it says, not how fast."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from edgevision.targets.coreml.evaluator import Evaluator
from edgevision.targets.coreml.evaluator.program import Operation
from edgevision.targets.coreml.features import Features
from edgevision.targets.coreml.names import mil_name, node_of

__all__ = ["EmulatedRunner"]

Array = NDArray[Any]


class EmulatedRunner:
    """A saved package in the evaluator; inputs and outputs go by the graph's names."""

    def __init__(self, path: Path) -> None:
        self._evaluator = Evaluator(path)
        self._features = Features.of(self._evaluator.program)
        self.inputs = self._features.inputs
        self.outputs = self._features.outputs

    def __call__(self, feeds: Array | Mapping[str, Array]) -> list[Array]:
        """Run once; `feeds` is the only input, or inputs by name."""
        return self._features.results(self._evaluator(self._features.given(feeds)))

    def traced(self, nodes: Collection[str]) -> Mapping[str, tuple[int | None, ...]]:
        """Those of the graph's nodes that left an operation in the program, with the dims of the last one's result."""
        names = {mil_name(node): node for node in nodes}
        found: dict[str, tuple[int | None, ...]] = {}
        for operation in self._evaluator.program.main.operations:
            node = names.get(node_of(operation.name))
            if node is not None and len(operation.outputs) == 1:
                found[node] = tuple(operation.outputs[0][1].dims or ())
        return found

    def trace(self, feeds: Array | Mapping[str, Array], nodes: Collection[str]) -> Mapping[str, Array]:
        """Run once: the result of the last operation that each of `nodes` became."""
        names = {mil_name(node): node for node in nodes}
        found: dict[str, Array] = {}

        def keep(operation: Operation, results: Sequence[Any]) -> None:
            node = names.get(node_of(operation.name))
            if node is not None and len(results) == 1:
                found[node] = results[0].numpy()

        self._evaluator(self._features.given(feeds), watch=keep)
        return found

    def close(self) -> None:
        """Nothing is held but memory."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
