"""The table from MIL operations to what they compute, and what such a function sees of its operation.

Functions get and return torch tensors. Values of fp16 arrive widened to fp32 and leave rounded to fp16: an
elementwise operation is thereby exactly IEEE fp16 arithmetic, a sum of products accumulates in fp32 and rounds once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from edgevision.errors import TargetError
from edgevision.targets.coreml.evaluator.program import Constant, Operation

__all__ = ["SEMANTICS", "Arguments", "Value", "as_value", "computes", "unknown"]

Value = torch.Tensor | str | list[str] | dict[str, float]


@dataclass(frozen=True)
class Arguments:
    """The resolved inputs of one operation."""

    operation: Operation
    values: dict[str, list[Any]]

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def tensor(self, name: str) -> torch.Tensor:
        """A required tensor."""
        value = self.values[name][0]
        assert isinstance(value, torch.Tensor), (self.operation.kind, name)
        return value

    def maybe(self, name: str) -> torch.Tensor | None:
        """An optional tensor."""
        return self.tensor(name) if name in self.values else None

    def tensors(self, name: str) -> list[torch.Tensor]:
        """A tuple of tensors."""
        return list(self.values[name])

    def ints(self, name: str, default: Sequence[int] | None = None) -> list[int]:
        """A list of integers."""
        if name not in self.values:
            if default is None:
                raise KeyError(f"{self.operation.kind} lacks {name}")
            return list(default)
        return [int(v) for v in self.tensor(name).reshape(-1).tolist()]

    def integer(self, name: str, default: int) -> int:
        """An integer."""
        return int(self.tensor(name).item()) if name in self.values else default

    def number(self, name: str, default: float) -> float:
        """A float."""
        return float(self.tensor(name).item()) if name in self.values else default

    def flag(self, name: str, default: bool) -> bool:
        """A boolean."""
        return bool(self.tensor(name).item()) if name in self.values else default

    def text(self, name: str, default: str) -> str:
        """A string."""
        return str(self.values[name][0]) if name in self.values else default


Semantic = Callable[[Arguments], Value | Sequence[Value]]
SEMANTICS: dict[str, Semantic] = {}


def computes(*kinds: str) -> Callable[[Semantic], Semantic]:
    """Enter a function in the table under each of `kinds`."""

    def enter(function: Semantic) -> Semantic:
        for kind in kinds:
            if kind in SEMANTICS:
                raise RuntimeError(f"two meanings for {kind}")
            SEMANTICS[kind] = function
        return function

    return enter


def unknown(op: Arguments, what: str) -> TargetError:
    """The error for a form of an operation that no function here computes, and no package of ours has."""
    thing = f"operation {op.operation.name!r} ({op.operation.kind})"
    return TargetError(thing, f"the evaluator does not know {what}", "check it on a Mac")


def as_value(constant: Constant) -> Value:
    """A constant as the functions take it."""
    if isinstance(constant, np.ndarray):
        array = constant.astype(np.int64) if constant.dtype in (np.uint16, np.uint32, np.uint64) else constant
        return torch.from_numpy(np.array(array))
    return constant
