"""What the user may name as MODEL, and how one is told from another.

A zoo name or alias, `timm:NAME`, `package.module:factory`, or a path that ends in `.onnx`. Nothing is guessed: a name
that is none of these is an error with the nearest names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgevision.errors import ModelError, UsageError

__all__ = ["Batch", "FactoryModel", "ModelSpec", "OnnxFile", "TimmModel", "ZooModel", "parse_input_size", "parse_model"]


@dataclass(frozen=True)
class ZooModel:
    """A variant of our own zoo, by its full name."""

    name: str


@dataclass(frozen=True)
class TimmModel:
    """A model that timm creates."""

    name: str


@dataclass(frozen=True)
class FactoryModel:
    """A function of the user's own that returns an `nn.Module`."""

    module: str
    factory: str


@dataclass(frozen=True)
class OnnxFile:
    """A graph that somebody has exported already."""

    path: Path


ModelSpec = ZooModel | TimmModel | FactoryModel | OnnxFile

_FACTORY = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")


def parse_model(text: str) -> ModelSpec:
    """Read what the user typed as MODEL.

    Raises:
        ModelError: a zoo name that does not exist, or a missing file.
    """
    if text.endswith(".onnx"):
        path = Path(text)
        if not path.is_file():
            reason = "it is a directory" if path.is_dir() else "there is no such file"
            raise ModelError(text, reason, "give the path of an ONNX file")
        return OnnxFile(path)
    if text.startswith("timm:"):
        return TimmModel(text.removeprefix("timm:"))
    if _FACTORY.match(text):
        module, factory = text.split(":")
        return FactoryModel(module, factory)
    from edgevision.registry import find_variant

    return ZooModel(find_variant(text).name)


@dataclass(frozen=True)
class Batch:
    """A fixed batch size, or the range of a dynamic one with the size to optimize for."""

    least: int = 1
    best: int = 1
    most: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.best <= self.most:
            raise UsageError(
                f"--batch {self.least}:{self.best}:{self.most}",
                "0 < MIN <= OPT <= MAX does not hold",
                "e.g. 1 or 1:4:16",
            )

    @property
    def dynamic(self) -> bool:
        """Whether the graph's first dimension is left open."""
        return self.least != self.most

    def samples(self, count: int) -> list[int]:
        """Batch sizes of samples: the range's ends take turns with its best size."""
        sizes = [self.best]
        if self.dynamic:
            sizes = list(dict.fromkeys((self.best, self.least, min(self.most, 3))))
        return [sizes[i % len(sizes)] for i in range(max(count, len(sizes)))]

    @classmethod
    def parse(cls, text: str) -> Batch:
        """Read `N` or `MIN:OPT:MAX`."""
        parts = text.split(":")
        if len(parts) not in (1, 3) or not all(p.isascii() and p.isdecimal() for p in parts):
            raise UsageError(f"--batch {text}", "it is neither N nor MIN:OPT:MAX", "e.g. 1 or 1:4:16")
        if len(parts) == 1:
            return cls(int(text), int(text), int(text))
        least, best, most = map(int, parts)
        return cls(least, best, most)


def parse_input_size(text: str) -> tuple[int, int]:
    """Read `HxW` (or one number for a square) in pixels.

    Raises:
        UsageError: not of that form, or not positive.
    """
    parts = text.lower().split("x")
    try:
        sizes = [int(p) for p in parts]
    except ValueError:
        sizes = []
    if len(sizes) not in (1, 2):
        raise UsageError(f"--input-size {text}", "it is not HxW", "e.g. 192x192")
    height, width = sizes[0], sizes[-1]
    if height <= 0 or width <= 0:
        raise UsageError(f"--input-size {text}", "a size must be a positive number of pixels", "e.g. 192x192")
    return height, width
