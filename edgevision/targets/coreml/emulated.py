"""A package behind the interface of a runtime, computed by the reference evaluator: what it says, not how fast."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from edgevision.targets.coreml.evaluator import Evaluator
from edgevision.targets.coreml.features import Features

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

    def close(self) -> None:
        """Nothing is held but memory."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
