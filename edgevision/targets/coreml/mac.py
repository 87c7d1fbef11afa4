"""Running a package with Core ML itself. Needs a Mac; checked here with a stand-in for Core ML, not run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgevision.targets.coreml.evaluator.program import open_package
from edgevision.targets.coreml.features import Features

__all__ = ["MacRunner", "as_core_ml_takes"]

Array = NDArray[Any]


class MacRunner:
    """A package loaded by Core ML; inputs and outputs go by the graph's names, in the graph's order."""

    def __init__(self, path: Path) -> None:
        import coremltools as ct

        self._features = Features.of(open_package(path))
        self.inputs = self._features.inputs
        self.outputs = self._features.outputs
        self._model = ct.models.MLModel(str(path))

    def __call__(self, feeds: Array | Mapping[str, Array]) -> list[Array]:
        """Run once; `feeds` is the only input, or inputs by name."""
        return self._features.results(self._model.predict(as_core_ml_takes(self._features, feeds)))

    def close(self) -> None:
        """Let Core ML free the model."""
        self._model = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def as_core_ml_takes(features: Features, feeds: Array | Mapping[str, Array]) -> dict[str, Any]:
    """Features of a prediction: arrays by name, and a picture where the package takes one."""
    given: dict[str, Any] = features.given(feeds)
    if features.image is not None:
        from PIL import Image

        first = features.names[features.inputs[0].name]
        pixels = given[first][0].transpose(1, 2, 0).astype(np.uint8)
        # A picture is RGB whatever order the network expects: Core ML reorders it as the package says.
        given[first] = Image.fromarray(pixels if features.image.color == "RGB" else pixels[..., ::-1].copy())
    return given
