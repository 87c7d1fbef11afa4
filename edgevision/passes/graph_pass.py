"""What a pass is: a function that changes a graph in place and says what it changed, and why it left the rest."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir

__all__ = ["Application", "Declined", "PassResult"]


@dataclass(frozen=True, kw_only=True)
class Application:
    """One place where a pass changed the graph.

    Attributes:
        where: names of the nodes that were replaced.
        equation: the name of the rule, as its file is called.
        params_before, params_after: weight elements of the replaced and the new nodes.
        macs_before, macs_after: multiply-accumulates of the same, None where shapes are unknown.
        nodes_before, nodes_after: how many nodes.
        error_float64: max_abs_over_std of the local subgraph in float64, before the new weights are rounded.
        error_float32: the same after rounding, run in float32.
        note: what a reader of the report should know of this place, such as a norm with variance 0.
    """

    where: tuple[str, ...]
    equation: str
    params_before: int = 0
    params_after: int = 0
    macs_before: int | None = None
    macs_after: int | None = None
    nodes_before: int = 0
    nodes_after: int = 0
    error_float64: float | None = None
    error_float32: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Declined:
    """One place where a pass matched and did not apply, with the reason in words."""

    where: tuple[str, ...]
    equation: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class PassResult:
    """The graph after a pass. `modified` is False exactly when `applied` is empty."""

    model: ir.Model
    applied: tuple[Application, ...] = field(default=())
    declined: tuple[Declined, ...] = field(default=())

    @property
    def modified(self) -> bool:
        """Whether the graph changed."""
        return bool(self.applied)
