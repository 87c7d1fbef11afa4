"""Walks an ONNX graph and builds the MIL program, one table entry a node.

Shapes are static, so shape arithmetic is known while converting: a node whose inputs are all constants is computed on
the spot by the ONNX reference implementation, and `Shape` of anything is a constant. A node without a lowering that
carries a body (the model's own functions, and the ONNX operators defined as functions) is lowered through that body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Function, Program
from coremltools.converters.mil.mil.scope import ScopeInfo, ScopeSource

from edgevision.errors import GraphError
from edgevision.targets.coreml.lowering.dtypes import as_type, held_type, mil_type, type_name
from edgevision.targets.coreml.lowering.folding import fold, foldable
from edgevision.targets.coreml.lowering.functions import schema_defaults, schema_function
from edgevision.targets.coreml.lowering.table import TABLE, Bound, Call, MilVar
from edgevision.targets.coreml.names import mil_name
from edgevision.targets.coreml.static_shape import static_dims

__all__ = ["Lowerer"]

MAX_RANK = 5
#: Broadcasting as it is known today came with opset 7.
OLDEST_OPSET = 7
#: Operators whose attributes or meaning were others before an opset.
_CHANGED = {
    "BatchNormalization": 9,
    "Clip": 11,
    "Hardmax": 13,
    "LogSoftmax": 13,
    "Pad": 11,
    "Resize": 11,
    "Slice": 10,
    "Softmax": 13,
    "TopK": 10,
}


class _Program(Program):  # type: ignore[misc]
    """A program that coremltools' passes check once per cleaning, not after each of a hundred passes.

    That check walks every edge of the program and took half of a conversion. What it would find is found in the saved
    bytes: `check_specification` follows every name to its definition, the evaluator every declared type.
    """

    def validate(self, check_essential_scope: bool | None = False) -> None:
        if check_essential_scope:  # asked for after dead code is gone
            super().validate(check_essential_scope=True)


class Lowerer:
    """Lowers one model; `program` is the result."""

    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self.values: dict[ir.Value, Bound] = {}
        self.frames: list[tuple[Mapping[str, ir.Attr], Mapping[str, int]]] = [({}, model.graph.opset_imports)]

    def program(self, opset_version: Any, preprocess: Mapping[str, Any]) -> Program:
        """The MIL program of the whole graph.

        Args:
            opset_version: a `coremltools.target`.
            preprocess: per input name, a function from the placeholder's variable to the graph's input.
        """
        graph = self.model.graph
        names = [mil_name(value.name or "") for value in (*graph.inputs, *graph.outputs)]
        if len(set(names)) < len(names):
            raise GraphError("the graph", f"input and output names are not unique for Core ML: {names}", "rename them")
        placeholders = {mil_name(v.name or ""): self._placeholder(v) for v in graph.inputs}
        result = _Program()
        with Function(placeholders, opset_version=opset_version) as function:
            for value in graph.inputs:
                held = function.inputs[mil_name(value.name or "")]
                prepare = preprocess.get(value.name or "")
                bound = prepare(held) if prepare else held
                if value.shape is not None and len(value.shape) == 0:
                    bound = mb.squeeze(x=bound)
                self.values[value] = as_type(bound, held_type(value.dtype, f"input {value.name!r}"))
            self._walk(graph)
            function.set_outputs(self._outputs(function))
        result.add_function("main", function)
        _name_operations(function)
        return result

    def _placeholder(self, value: ir.Value) -> Any:
        thing = f"input {value.name!r}"
        if value.type is not None and not isinstance(value.type, ir.TensorType):
            raise GraphError(thing, "it is a sequence or optional, and Core ML takes tensors", "pass its tensors")
        held = held_type(value.dtype, thing)
        shape = static_dims(value)
        if len(shape) > MAX_RANK:
            raise GraphError(thing, f"it has rank {len(shape)}, and Core ML has at most {MAX_RANK}", "reshape it")
        if 0 in shape:
            raise GraphError(thing, f"its shape {shape} is empty", "Core ML has no empty tensors")
        return mb.placeholder(shape=shape or [1], dtype=mil_type("int32" if held == "bool" else held))

    def _outputs(self, function: Function) -> list[MilVar]:
        """The graph's outputs under their names; a value that already has a name is copied."""
        results: list[MilVar] = []
        for value in self.model.graph.outputs:
            bound, name = self._output(value), mil_name(value.name or "")
            if bound in results or bound in function.inputs.values():
                bound = mb.identity(x=bound)
            bound.set_name(name)
            results.append(bound)
        return results

    def _output(self, value: ir.Value) -> MilVar:
        """A graph's output in a type Core ML can hand out: no booleans or bytes, no scalars."""
        thing = f"output {value.name!r}"
        bound = self.values.get(value)
        if bound is None:
            raise GraphError(thing, "nothing computes it", "check the graph with onnx.checker")
        if isinstance(bound, np.ndarray) or (bound.op is not None and bound.op.op_type.startswith("const")):
            raise GraphError(thing, "it is a constant, and Core ML needs it computed", "drop this output")
        if bound.rank == 0:
            bound = mb.reshape(x=bound, shape=[1])
        if type_name(bound) in ("bool", "int8", "uint8"):
            return mb.cast(x=bound, dtype="int32")
        held = held_type(value.dtype, thing) if value.dtype else type_name(bound)
        return mb.cast(x=bound, dtype=held) if held in ("fp16", "fp32") and type_name(bound) != held else bound

    def _walk(self, graph: ir.Graph | ir.Function) -> None:
        if isinstance(graph, ir.Graph):
            for value in graph.initializers.values():
                if value.const_value is not None and value not in self.values:
                    self.values[value] = value.const_value.numpy()
        for node in graph:
            with mb.scope(
                ScopeInfo(source=ScopeSource.TORCHSCRIPT_MODULE_TYPE, data=[node.op_type]),
                ScopeInfo(source=ScopeSource.TORCHSCRIPT_MODULE_NAME, data=[node.name or node.op_type]),
            ):
                self._lower(node)

    def _run(self, graph: ir.Graph, arguments: Sequence[Bound]) -> list[Bound]:
        self.values.update(zip(graph.inputs, arguments, strict=True))
        self._walk(graph)
        return [self.values[value] for value in graph.outputs]

    def _call(self, node: ir.Node) -> Call:
        frame_attributes, imports = self.frames[-1]
        attributes = {
            name: frame_attributes[attr.ref_attr_name or ""] if attr.is_ref() else attr
            for name, attr in node.attributes.items()
            if not attr.is_ref() or attr.ref_attr_name in frame_attributes
        }
        inputs = [None if value is None else self._lookup(node, value) for value in node.inputs]
        return Call(
            node=node, inputs=inputs, attributes=attributes, opset=_version(imports, node.domain), run=self._run
        )

    def _lookup(self, node: ir.Node, value: ir.Value) -> Bound:
        if value not in self.values and value.const_value is not None:
            self.values[value] = value.const_value.numpy()
        if value not in self.values:
            raise GraphError(f"node {node.name!r}", f"its input {value.name!r} is undefined", "check the graph")
        return self.values[value]

    def _lower(self, node: ir.Node) -> None:
        call = self._call(node)
        standard = node.domain in ("", "ai.onnx")
        key = node.op_type if standard else f"{node.domain}::{node.op_type}"
        if standard and call.opset < _CHANGED.get(node.op_type, OLDEST_OPSET):
            raise GraphError(
                call.what,
                f"it is of ONNX opset {call.opset}, and its meaning has changed since",
                "convert the model with onnx.version_converter.convert_version(model, 20)",
            )
        if foldable(call):
            results: Sequence[Bound] = fold(call)
        elif key in TABLE:
            results = self._by_table(call, key)
        else:
            results = self._by_body(call)
        for value, bound in zip(node.outputs, results, strict=False):
            self.values[value] = bound
            _check_rank(call, bound)

    def _by_table(self, call: Call, key: str) -> Sequence[Bound]:
        try:
            result = TABLE[key](call)
        except ValueError as error:
            raise _refusal(call, error) from error
        return result if isinstance(result, (list, tuple)) else [result]

    def _by_body(self, call: Call) -> Sequence[Bound]:
        node = call.node
        function = self.model.functions.get(node.op_identifier()) or schema_function(call)
        if function is None:
            raise GraphError(
                call.what,
                f"Core ML cannot express operator {node.domain or 'ai.onnx'}::{node.op_type}",
                "rewrite it in standard operators (docs/coreml.md lists them) or attach a function body to it",
            )
        defaults = {n: a for n, a in function.attributes.items() if a.value is not None}
        if node.op_identifier() not in self.model.functions:
            defaults |= schema_defaults(call)
        imports = {**self.frames[-1][1], **function.opset_imports}
        self.frames.append(({**defaults, **call.attributes}, imports))
        padded = [*call.inputs, *[None] * (len(function.inputs) - len(call.inputs))]
        self.values.update(zip(function.inputs, padded, strict=True))
        self._walk(function)
        self.frames.pop()
        return [self.values[value] for value in function.outputs]


def _version(imports: Mapping[str, int], domain: str) -> int:
    """The imported version of a domain; ONNX's own goes by two names."""
    if domain in ("", "ai.onnx"):
        return imports.get("", imports.get("ai.onnx", 1))
    return imports.get(domain, 1)


def _check_rank(call: Call, bound: Bound) -> None:
    if bound is not None and not isinstance(bound, np.ndarray) and bound.rank > MAX_RANK:
        raise call.refuse(
            f"its output has rank {bound.rank}, and ML programs have at most {MAX_RANK}",
            "merge axes with Reshape before the node and split them after it",
        )


def _refusal(call: Call, error: ValueError) -> GraphError:
    text = " ".join(str(error).split())
    needed = re.search(r"at least coremltools\.target\.(iOS\d+)", text)
    if needed:
        op = re.search(r"for (\w+)", text)
        return GraphError(
            call.what,
            f"MIL op {op.group(1) if op else '?'} is newer than the deployment target",
            f"use --minimum-deployment-target {needed.group(1)} or later",
        )
    return call.refuse(f"coremltools says: {text}", "rewrite the node in operators that docs/coreml.md lists")


def _name_operations(function: Function) -> None:
    """Name every operation after its ONNX node, so that the same graph always gives the same package."""
    counts: dict[str, int] = {}

    def visit(block: Any) -> None:
        for op in list(block.operations):
            for inner in op.blocks:
                visit(inner)
            scope = op.scopes.get(ScopeSource.TORCHSCRIPT_MODULE_NAME, ["edge"])
            stem = mil_name(scope[-1])
            number = counts[stem] = counts.get(stem, -1) + 1
            op.name = f"{stem}__{number}"
            for index, var in enumerate(op.outputs):
                if var not in function.outputs:
                    var.set_name(op.name if len(op.outputs) == 1 else f"{op.name}_{index}")

    visit(function)
