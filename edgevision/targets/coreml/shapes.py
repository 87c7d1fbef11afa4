"""Several input sizes in one package, as enumerated shapes.

The graph is converted once for each size. Where the programs are the same in every operation and constant, and differ
only in dims, they are one program: the dims that differ are declared flexible and the sizes are listed. Where a
constant depends on the size (a reshape, a position table), there is no such program, and the error names it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevision.errors import GraphError, UsageError
from edgevision.targets.coreml.evaluator.program import Block, Constant, Operation, Program, TensorType, open_package
from edgevision.targets.coreml.package import PackageOptions, convert, save

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["convert_enumerated", "resized"]


def resized(model: ir.Model, size: tuple[int, int]) -> ir.Model:
    """A copy of the graph whose first input has height and width `size`; inner shapes are left to be inferred."""
    import onnx_ir

    copy = model.clone()
    first = copy.graph.inputs[0]
    dims = [] if first.shape is None else list(first.shape.dims)
    if len(dims) != 4:
        raise UsageError("--also-sizes", f"the first input has {len(dims)} dims, not four", "leave the sizes out")
    first.shape = onnx_ir.Shape([*dims[:2], *size])
    for node in copy.graph:
        for value in node.outputs:
            value.shape = None
    return copy


def convert_enumerated(model: ir.Model, options: PackageOptions, sizes: Sequence[tuple[int, int]]) -> Any:
    """One Core ML model that takes the graph's own size and each of `sizes`.

    Raises:
        GraphError: the program depends on the size by more than its dims.
    """
    import coremltools as ct

    packages = [convert(resized(model, size), options) for size in sizes]
    base = convert(model, options)
    with tempfile.TemporaryDirectory() as scratch:
        programs = [
            open_package(save(package, Path(scratch) / f"{index}.mlpackage"))
            for index, package in enumerate((base, *packages))
        ]
        flexible: dict[str, TensorType] = {}
        for program, size in zip(programs[1:], sizes, strict=True):
            _Same(programs[0], program, size).collect(flexible)
    specification = base.get_spec()
    _declare(specification, flexible, [[dim or 0 for dim in p.main.inputs[0][1].dims or ()] for p in programs])
    return ct.models.MLModel(specification, weights_dir=base.weights_dir, skip_model_load=True)


class _Same:
    """Walks two programs side by side, and notes which dims differ."""

    def __init__(self, a: Program, b: Program, size: tuple[int, int]) -> None:
        self.a, self.b, self.size = a, b, size
        self.named: dict[str, str] = {}

    def collect(self, flexible: dict[str, TensorType]) -> None:
        self._block(self.a.main, self.b.main, flexible)

    def _differs(self, operation: Operation, reason: str) -> GraphError:
        return GraphError(
            f"operation {operation.name!r} ({operation.kind})",
            f"{reason} between the graph's own size and {self.size}, so the program is not one for both",
            "export one package a size",
        )

    def _block(self, a: Block, b: Block, flexible: dict[str, TensorType]) -> None:
        for (left, kind), (right, other) in zip(a.inputs, b.inputs, strict=True):
            self._types(left, kind, right, other, flexible)
        if len(a.operations) != len(b.operations):
            raise self._differs(a.operations[-1], "the number of operations changes")
        for left_op, right_op in zip(a.operations, b.operations, strict=True):
            self._operation(left_op, right_op)
            for inner, other_inner in zip(left_op.blocks, right_op.blocks, strict=True):
                self._block(inner, other_inner, flexible)
            for (left, kind), (right, other) in zip(left_op.outputs, right_op.outputs, strict=True):
                self._types(left, kind, right, other, flexible)

    def _operation(self, a: Operation, b: Operation) -> None:
        if a.kind != b.kind or a.inputs.keys() != b.inputs.keys():
            raise self._differs(a, f"it becomes {b.kind}")
        for key, arguments in a.inputs.items():
            for left, right in zip(arguments, b.inputs[key], strict=True):
                if isinstance(left, str) and isinstance(right, str) and self.named.get(left) == right:
                    continue
                if not _equal(_constant(left, self.a.constants), _constant(right, self.b.constants)):
                    raise self._differs(a, f"its constant {key!r} changes")

    def _types(
        self, left: str, kind: TensorType, right: str, other: TensorType, flexible: dict[str, TensorType]
    ) -> None:
        self.named[left] = right
        known = flexible.get(left, kind)
        dims = [a if a == b else None for a, b in zip(known.dims or (), other.dims or (), strict=True)]
        if None in dims:
            flexible[left] = replace(kind, dims=tuple(dims))


def _constant(argument: str | tuple[Constant], constants: Mapping[str, Constant]) -> Constant | None:
    return constants.get(argument) if isinstance(argument, str) else argument[0]


def _equal(a: Constant | None, b: Constant | None) -> bool:
    if a is None or b is None:
        return False
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return type(a) is type(b) and bool(a == b)


def _declare(specification: Any, flexible: Mapping[str, TensorType], shapes: Sequence[Sequence[int]]) -> None:
    """Write flexible dims into the program's types, and the sizes into its description."""
    function = specification.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    entries = [*function.inputs, *(output for operation in block.operations for output in operation.outputs)]
    for entry in entries:
        if entry.name in flexible:
            for dimension, dim in zip(entry.type.tensorType.dimensions, flexible[entry.name].dims or (), strict=True):
                if dim is None:
                    dimension.unknown.variadic = False
    array = specification.description.input[0].type.multiArrayType
    for shape in shapes:
        array.enumeratedShapes.shapes.add().shape.extend(shape)
    for output in specification.description.output:
        if output.name in flexible:
            del output.type.multiArrayType.shape[:]
