"""The table from ONNX op types to lowerings, and what a lowering sees of its node.

A lowering is a function from a `Call` to the MIL variables of the node's outputs, entered in the table by
`@lowers("Relu")`. It computes exactly what the ONNX standard says, or raises `call.refuse(...)`: node, op, attribute
and the nearest rewrite are in the message, and nothing is approximated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.errors import GraphError
from edgevision.targets.coreml.lowering.dtypes import materialise

__all__ = ["TABLE", "Array", "Bound", "Call", "Lowering", "MilVar", "lowers"]

#: A `coremltools.converters.mil.mil.Var`; the package ships no types.
MilVar = Any
Array = NDArray[Any]
#: What an ONNX value stands for while lowering: a MIL variable, a constant known now, or None where it is left out.
Bound = MilVar | Array | None


#: `int` inside `Call`, whose method of that name hides the type.
Integer = int


@dataclass(frozen=True, kw_only=True)
class Call:
    """One node about to be lowered, its inputs resolved.

    Attributes:
        node: the node, for its name and op type.
        inputs: what each input stands for.
        attributes: the attributes, references to a function's attributes resolved.
        opset: version of the node's own domain.
        run: lowers a subgraph in place, `run(graph, arguments) -> outputs` (control flow only).
    """

    node: ir.Node
    inputs: Sequence[Bound]
    attributes: Mapping[str, ir.Attr]
    opset: int
    run: Callable[[ir.Graph, Sequence[Bound]], list[Bound]]

    @property
    def what(self) -> str:
        """The node as messages name it."""
        return f"node {self.node.name!r} ({self.node.op_type})"

    @property
    def name(self) -> str:
        """A prefix for the names of the MIL operations made for this node."""
        return self.node.name or self.node.op_type

    def refuse(self, reason: str, mend: str, *, attribute: str = "") -> GraphError:
        """The error for what MIL cannot express exactly."""
        thing = f"{self.what}, attribute {attribute!r}" if attribute else self.what
        return GraphError(thing, f"Core ML cannot express it exactly: {reason}", mend)

    # Inputs

    def given(self, index: int) -> bool:
        """Whether input `index` is there."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def var(self, index: int) -> MilVar:
        """Input `index` as a MIL variable."""
        bound = self.inputs[index]
        return materialise(bound, f"{self.what}, input {index}") if isinstance(bound, np.ndarray) else bound

    def vars(self) -> list[MilVar]:
        """Every input as a MIL variable."""
        return [self.var(index) for index in range(len(self.inputs))]

    def known(self, index: int) -> Array | None:
        """Input `index` where it is a constant, else None."""
        bound = self.inputs[index] if index < len(self.inputs) else None
        return bound if isinstance(bound, np.ndarray) else None

    def const(self, index: int, role: str) -> Array:
        """Input `index`, which must be known at conversion."""
        value = self.known(index)
        if value is None:
            raise self.refuse(
                f"its {role} (input {index}) is computed at run time, and ML programs have static shapes",
                f"make {role} a constant: fix the input size at export, or fold constants first",
            )
        return value

    def ints_from(self, index: int, attribute: str, role: str) -> list[int] | None:
        """Integers given as input `index` (newer opsets) or as an attribute (older ones); None when left out."""
        if self.given(index):
            return [int(v) for v in self.const(index, role).reshape(-1)]
        return self.ints(attribute)

    # Attributes

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        return self.attributes[name].as_int() if name in self.attributes else default

    def number(self, name: str, default: float) -> float:
        """A float attribute."""
        return self.attributes[name].as_float() if name in self.attributes else default

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        return self.attributes[name].as_string() if name in self.attributes else default

    def ints(self, name: str) -> list[Integer] | None:
        """A list of integers, None when the attribute is left out."""
        return list(self.attributes[name].as_ints()) if name in self.attributes else None

    def graph(self, name: str) -> ir.Graph:
        """A subgraph attribute."""
        return self.attributes[name].as_graph()

    def axis(self, name: str, default: Integer, rank: Integer) -> Integer:
        """An axis attribute, counted from the front."""
        return self.integer(name, default) % max(rank, 1)


Lowering = Callable[[Call], Bound | Sequence[Bound]]
#: Key: `Op` in ONNX's own domain, `domain::Op` elsewhere.
TABLE: dict[str, Lowering] = {}


def lowers(*op_types: str) -> Callable[[Lowering], Lowering]:
    """Enter a lowering in the table under each of `op_types`."""

    def enter(lowering: Lowering) -> Lowering:
        for op_type in op_types:
            if op_type in TABLE:
                raise RuntimeError(f"two lowerings for {op_type}")
            TABLE[op_type] = lowering
        return lowering

    return enter
