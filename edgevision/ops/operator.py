"""What an operator is, and how the operators of this package are found.

An operator is described once, by its `Operator`: the ONNX node, the kernels, the docs and the targets are all checked
against that description. `operators()` finds every module of `edgevision.ops` that defines one.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import onnx_ir as ir
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

__all__ = ["DOMAIN", "PLUGIN_ATTRIBUTES", "Attribute", "Operator", "Signature", "Tensor", "operators"]

DOMAIN = "edgevision"
VERSION = 1
#: Attributes of every exported node: TensorRT resolves a plugin by them (op type, version, namespace).
PLUGIN_ATTRIBUTES: Mapping[str, str] = {"plugin_namespace": DOMAIN, "plugin_version": "1"}

AttributeValue = int | float | str | tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output: its name, its shape as the docs print it, whether it may be left out, its type.

    `T` is the floating-point type that all tensors of a node with that type share; `8 bits` is either uint8 or int8, the
    same for all of a node.
    """

    name: str
    shape: str
    doc: str = ""
    optional: bool = False
    type: Literal["T", "uint8", "8 bits"] = "T"


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """An attribute with its ONNX kind and its default."""

    name: str
    kind: Literal["int", "float", "string", "ints"]
    default: AttributeValue
    doc: str = ""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a body may depend on: which inputs are there, their static dims (None where dynamic), the attributes.

    Attributes:
        shapes: one entry per input of the schema; None for an absent optional input, else its dims.
        attributes: every attribute of the schema with its value (defaults filled in).
        element_type: ONNX data type of the tensors, as `onnx_ir.DataType` counts it (1 is float32).
    """

    shapes: tuple[tuple[int | None, ...] | None, ...]
    attributes: Mapping[str, AttributeValue]
    element_type: int = 1

    def present(self, index: int) -> bool:
        """Whether input `index` is given."""
        return index < len(self.shapes) and self.shapes[index] is not None


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One custom operator.

    Attributes:
        name: the ONNX op type, unique among all domains (TensorRT's parser ignores the domain).
        doc: what it computes, with the formula.
        reference: `reference(inputs, attributes) -> outputs` in float64 numpy; `inputs` has None for absent ones.
        example: small random float32 inputs (every optional one given) and attributes that meet the schema; what holds
            for all operators is tested with them.
        bodies: name of a form -> builder of the `onnx_ir.Function` that computes the operator in standard ONNX
            operators. `"canonical"` is there for every operator: it is the one a portable model carries. Builders
            name the function's `overload` so that equal signatures give equal overloads and different bodies differ.
        torch_op: qualified name of the torch custom op, `edgevision::<stem>`; importing the module defines it. None for
            a fused operator, which no model writes: passes put it into graphs for a runtime that has its kernel.
        translate: onnxscript-compatible translation of the torch op into the ONNX node, for the dynamo exporter.
    """

    name: str
    doc: str
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    attributes: Sequence[Attribute]
    reference: Callable[[Sequence[Array | None], Mapping[str, AttributeValue]], list[Array]]
    example: Callable[[np.random.Generator], tuple[list[Array], dict[str, AttributeValue]]]
    bodies: Mapping[str, Callable[[Signature], ir.Function]]
    torch_op: str | None = None
    translate: Callable[..., Any] | None = field(default=None, repr=False)

    def attribute_values(self, given: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
        """Every attribute of the schema, `given` over the defaults."""
        return {a.name: given.get(a.name, a.default) for a in self.attributes}


@cache
def operators() -> Mapping[str, Operator]:
    """All operators by ONNX name. Imports their modules (and so torch)."""
    package = import_module("edgevision.ops")
    found: dict[str, Operator] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = import_module(f"edgevision.ops.{info.name}")
        operator = getattr(module, "OPERATOR", None)
        if operator is None:
            continue
        if operator.name in found:
            raise RuntimeError(f"two operators are named {operator.name}")
        found[operator.name] = operator
    return found
