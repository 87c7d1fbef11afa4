"""One equation a file. A module here that defines `EQUATION` is found by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol

import onnx_ir as ir

from edgevision.passes.graph_pass import Declined
from edgevision.reparam.rewrite import Rewrite

__all__ = ["Equation", "Finder", "all_equations"]


class Finder(Protocol):
    """Looks at a graph and yields, lazily, what may be replaced and what matches but must stay.

    The graph may change between two yields: a finder looks at each place only when it gets there.
    """

    def __call__(self, graph: ir.Graph) -> Iterator[Rewrite | Declined]: ...


@dataclass(frozen=True, kw_only=True)
class Equation:
    """A rule of the algebra.

    Attributes:
        name: as its file is called.
        rank: equations of lower rank are tried first.
        find: its finder.
    """

    name: str
    rank: int
    find: Finder


def all_equations() -> tuple[Equation, ...]:
    """Every equation of this package, in the order they are tried."""
    modules = (import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__))
    return tuple(sorted((module.EQUATION for module in modules), key=lambda equation: (equation.rank, equation.name)))
