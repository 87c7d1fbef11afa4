"""Between a graph's tensors and a package's features: names, pixels, class scores.

Whoever runs a bundle thinks in the inputs and outputs of its graph. A package has other names where Core ML does not
allow the graph's, takes pixels where the graph takes normalized values, and gives a dictionary of class scores where
the graph gives a row of them. What leads from one to the other is in the package's own metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import DataError
from edgevision.targets.coreml.evaluator.program import Program, TensorType
from edgevision.targets.coreml.image import Image, pixels_of
from edgevision.targets.target import TensorInfo

__all__ = ["Features", "stored_image"]

Array = NDArray[Any]
_DTYPES = {"fp16": "float16", "fp32": "float32", "int32": "int32"}


def stored_image(image: Image | None) -> str:
    """The normalization inside a package, as its metadata has it; empty where it takes tensors."""
    return "" if image is None else json.dumps(asdict(image))


@dataclass(frozen=True, kw_only=True)
class Features:
    """What a package takes and gives, in the graph's terms.

    Attributes:
        inputs, outputs: of the graph, in its order; dims are None where the package lists several sizes.
        names: graph name -> feature name.
        image: the normalization inside a package that takes its first input as pixels.
    """

    inputs: Sequence[TensorInfo]
    outputs: Sequence[TensorInfo]
    names: Mapping[str, str]
    image: Image | None

    @classmethod
    def of(cls, program: Program) -> Features:
        """As the metadata says; a package that was made elsewhere keeps its own names."""
        stored = program.specification.description.metadata.userDefined
        taken = dict(program.main.inputs)
        made = {name: kind for operation in program.main.operations for name, kind in operation.outputs}
        names: dict[str, str] = json.loads(stored.get("edgevision.names") or "{}")
        names = names or {name: name for name in (*taken, *program.main.outputs)}
        image = json.loads(stored.get("edgevision.image") or "null")
        given = [(name, feature) for name, feature in names.items() if feature not in taken]
        return cls(
            inputs=[_info(name, taken[feature]) for name, feature in names.items() if feature in taken],
            outputs=[_info(name, made.get(feature) or _scores(program, made)) for name, feature in given],
            names=names,
            image=image and Image(mean=tuple(image["mean"]), std=tuple(image["std"]), color=image["color"]),
        )

    def given(self, feeds: Array | Mapping[str, Array]) -> dict[str, Array]:
        """The features of `feeds`, which is the only input or has all inputs by the graph's names.

        Raises:
            DataError: an input is missing.
        """
        named = feeds if isinstance(feeds, Mapping) else {self.inputs[0].name: feeds}
        missing = [info.name for info in self.inputs if info.name not in named]
        if missing:
            raise DataError(f"inputs {missing}", "they are not given", "give every input by name")
        features = {self.names[info.name]: np.asarray(named[info.name]) for info in self.inputs}
        if self.image is not None:
            first = self.names[self.inputs[0].name]
            features[first] = pixels_of(self.image, features[first])
        return features

    def results(self, got: Mapping[str, Any]) -> list[Array]:
        """The graph's outputs, from a package's results by feature name."""
        scores = next((value for value in got.values() if isinstance(value, dict)), {})
        rows = [got.get(self.names[info.name], list(scores.values())) for info in self.outputs]
        arrays = [np.asarray(row, info.dtype) for row, info in zip(rows, self.outputs, strict=True)]
        return [
            array if None in info.shape else array.reshape([dim or 0 for dim in info.shape])
            for array, info in zip(arrays, self.outputs, strict=True)
        ]


def _info(name: str, kind: TensorType) -> TensorInfo:
    return TensorInfo(name=name, shape=kind.dims or (), dtype=_DTYPES[kind.dtype])


def _scores(program: Program, made: Mapping[str, TensorType]) -> TensorType:
    """What a classifier's labels stand beside: it has no output of its own then."""
    (classify,) = (operation for operation in program.main.operations if operation.kind == "classify")
    return made[str(classify.inputs["probabilities"][0])]
