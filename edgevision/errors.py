"""Every error edgevision raises on purpose, and the exit code each kind ends the command line with.

A message names the thing, the reason and the mend, in that order, so that a person can act on it and a program can
read it: `EdgeError.as_dict` is what `--json` prints.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "DataError",
    "DeviceError",
    "EdgeError",
    "GateError",
    "GraphError",
    "ModelError",
    "OutputError",
    "TargetError",
    "UsageError",
]


class EdgeError(Exception):
    """Base of all deliberate errors.

    Args:
        thing: what failed, as the user knows it (a file, an option, a node).
        reason: why, without a trailing full stop.
        mend: what to do next; empty when nothing sensible can be advised.
    """

    exit_code: ClassVar[int] = 70
    kind: ClassVar[str] = "defect"

    def __init__(self, thing: str, reason: str, mend: str = "") -> None:
        super().__init__(thing, reason, mend)
        self.thing = thing
        self.reason = reason
        self.mend = mend

    def __str__(self) -> str:
        tail = f"\n  mend: {self.mend}" if self.mend else ""
        return f"{self.thing}: {self.reason}.{tail}"

    def as_dict(self) -> dict[str, str | int]:
        """The error as `--json` prints it."""
        return {
            "kind": self.kind,
            "exit_code": self.exit_code,
            "thing": self.thing,
            "reason": self.reason,
            "mend": self.mend,
        }


class GateError(EdgeError):
    """A gate measured what it was asked to measure and the answer is no."""

    exit_code = 1
    kind = "gate"


class UsageError(EdgeError):
    """An option that does not exist, has a bad value, or conflicts with another."""

    exit_code = 2
    kind = "usage"


class ModelError(EdgeError):
    """A model or its weights: unknown name, checkpoint that does not fit, NaN in the weights."""

    exit_code = 3
    kind = "model"


class GraphError(EdgeError):
    """A graph or an operator: capture failed, op unsupported, a stage's proof failed."""

    exit_code = 4
    kind = "graph"


class TargetError(EdgeError):
    """A target is missing, or its build or load failed."""

    exit_code = 5
    kind = "target"


class DeviceError(EdgeError):
    """A device is unreachable, lost, or unsuitable."""

    exit_code = 6
    kind = "device"


class DataError(EdgeError):
    """Input data: an image that is not one, a wrong shape, NaN, an empty folder."""

    exit_code = 7
    kind = "data"


class OutputError(EdgeError):
    """The output folder: unwritable, full, in use by another export."""

    exit_code = 8
    kind = "output"
