"""Reading TensorRT's log: the layers of an engine, its memory, and the reason a build failed.

Without a driver nothing can be read back from an engine, but at the verbose level the builder prints the same text that
the engine inspector would: one line per layer, with the types and strides of its tensors and the ONNX nodes it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["Layer", "Memory", "failure_reason", "layers", "memory"]

_LAYER: Final = re.compile(
    r"Name: (?P<name>[^,]*), LayerType: (?P<kind>\w+), Inputs: \[(?P<inputs>.*?)\], Constants: \[(?P<constants>.*?)\], "
    r"Outputs: \[(?P<outputs>.*?)\], TacticName: .*?Metadata: ?(?P<metadata>.*)"
)
_DATATYPE: Final = re.compile(r"Datatype: (\w+)")
_ORIGIN: Final = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
_MEMORY: Final = re.compile(r"(?:Total )?(Weights|Activation|Scratch) Memory: (\d+) bytes")
#: What TensorRT says beside the reason: its own source files, and a CUDA error that no driver is here to avoid.
_NOISE: Final = ("CUDA driver version is insufficient", "--- Begin node ---", "--- End node ---", "catchCudaError")
_WHERE: Final = re.compile(r"^(ERROR: )?\S+\.(cpp|h)\S*:\d+[^:]*: ?|\(In \w+ at [^)]*\)|In \w+ at /\S+")
_PREFIX: Final = re.compile(r"^\[\w*(ERROR|INTERNAL_ERROR)\] ")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of an engine.

    Attributes:
        name, kind: as the inspector has them; a plugin's kind is `custom_layer`.
        inputs, outputs: storage type of each tensor.
        nodes: names of the ONNX nodes it came from.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[str, ...]

    @property
    def precision(self) -> str:
        """The storage types of all its tensors, each named once."""
        return "/".join(sorted({*self.inputs, *self.outputs})) or "none"


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes an engine needs on the device, None where the log does not say."""

    weights: int | None = None
    activation: int | None = None
    scratch: int | None = None


def layers(messages: Iterable[str]) -> list[Layer]:
    """The layers of the last engine described in `messages`."""
    found: list[Layer] = []
    for message in messages:
        if message.startswith("Layers:"):
            found = [_layer(match) for match in map(_LAYER.match, message.split("\n")) if match]
    return found


def _layer(match: re.Match[str]) -> Layer:
    return Layer(
        name=match["name"],
        kind=match["kind"],
        inputs=tuple(_DATATYPE.findall(match["inputs"])),
        outputs=tuple(_DATATYPE.findall(match["outputs"])),
        nodes=tuple(_ORIGIN.findall(match["metadata"])),
    )


def memory(messages: Iterable[str]) -> Memory:
    """The last figures of each kind."""
    sizes = {kind.lower(): int(size) for message in messages for kind, size in _MEMORY.findall(message)}
    return Memory(**sizes)


def failure_reason(text: str) -> str:
    """The first error line of a log that says something; empty when none does."""
    for line in text.splitlines():
        if not _PREFIX.match(line):
            continue
        said = _WHERE.sub("", _PREFIX.sub("", line)).strip()
        if said and not any(noise in said for noise in _NOISE):
            return said
    return ""
