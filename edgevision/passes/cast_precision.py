"""Half precision for a graph: storage and products in float16 or bfloat16, and float32 where half has no range for it.

float16 ends at 65,504. A sum of squares passes that with activations of a few hundred, exp with arguments above 11, and
a scan multiplies thousands of decays: normalisation, softplus, exp, scans and large reductions keep their inputs and
outputs in float32, with a Cast where the two meet. What lies between two that are kept stays float32 as well: the sum in
log(1 + exp x) overflows just as the exp would. Graph inputs and outputs keep their types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import ClassVar, Final, Literal

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from edgevision.errors import GraphError
from edgevision.passes.graph_pass import Application, PassResult

__all__ = ["KEPT", "LARGE", "CastPrecision"]

#: Operators whose intermediate values leave half precision's range, or whose errors accumulate.
KEPT: Final = frozenset(
    [
        "LayerNormalization",
        "RMSNormalization",
        "GroupNormalization",
        "InstanceNormalization",
        "MeanVarianceNormalization",
        "LpNormalization",
        "LRN",
        "Softplus",
        "Exp",
        "Log",
        "LogSoftmax",
        "Pow",
        "Sqrt",
        "Reciprocal",
        "CumSum",
        "CumProd",
        "ReduceSumSquare",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceProd",
        "LpPool",
        "GlobalLpPool",
        "Einsum",
        "STFT",
        "DFT",
    ]
)
#: Operators that make float32 from something else: they go on doing so.
_SOURCES: Final = frozenset(
    [
        "Cast",
        "CastLike",
        "ConstantOfShape",
        "EyeLike",
        "RandomNormal",
        "RandomUniform",
        "RandomNormalLike",
        "RandomUniformLike",
        "Range",
        "OneHot",
        "Multinomial",
        "Bernoulli",
        "HannWindow",
        "HammingWindow",
        "BlackmanWindow",
        "MelWeightMatrix",
        "DynamicQuantizeLinear",
    ]
)
_REDUCTIONS: Final = frozenset(["ReduceSum", "ReduceMean", "ReduceL1", "GlobalAveragePool"])
#: A mean or sum over at least this many elements is kept: their rounding errors, or their sum, show in half precision.
LARGE: Final = 256
#: Operators without weights of their own: between two kept ones, a rounding (or an overflow) there would undo both.
_BETWEEN: Final = _REDUCTIONS | frozenset(
    [
        "Reshape",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Flatten",
        "Slice",
        "Split",
        "Identity",
        "Expand",
        "Gather",
        "Concat",
        "Tile",
        "Pad",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Neg",
        "Abs",
        "Max",
        "Min",
        "ReduceMax",
        "ReduceMin",
        "Clip",
        "Where",
        "Relu",
        "Sigmoid",
        "Tanh",
    ]
)
_STANDARD: Final = ("", "ai.onnx")
#: Inputs that are float32 by the operator's definition.
_ALWAYS_FLOAT: Final[Mapping[str, frozenset[int]]] = {"Resize": frozenset([1, 2]), "Upsample": frozenset([1])}
#: Q/DQ nodes take float16 scales from this opset on.
_HALF_SCALES: Final = 19


@dataclass(frozen=True, kw_only=True)
class CastPrecision:
    """The pass.

    Attributes:
        to: the half type.
        keep: operator types that stay float32.
        parameters: of operators of other domains, by type: the inputs that stay float32 although the operator takes
            its data in half precision. An operator of another domain that is not listed stays float32 as a whole.
    """

    name: ClassVar[str] = "cast_precision"
    to: Literal["fp16", "bf16"]
    keep: frozenset[str] = KEPT
    parameters: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def __call__(self, model: ir.Model) -> PassResult:
        """Cast `model` in place. Every value of it must have a type.

        Raises:
            GraphError: a value has no type.
        """
        common_passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        nodes = list(model.graph)
        _check_typed(nodes)
        kept = _kept(self, nodes, model.opset_imports.get("", 20))
        half = ir.DataType.FLOAT16 if self.to == "fp16" else ir.DataType.BFLOAT16
        casts = _Casts(model, half)
        casts.keep_outputs()
        changed = [node for node in nodes if casts.node(node, node in kept, self.parameters)]
        casts.feed_subgraphs()
        casts.drop_unused()
        where = tuple(node.name or node.op_type for node in changed)
        after = sum(1 for _ in model.graph)
        applied = (Application(where=where, equation=self.name, nodes_before=len(nodes), nodes_after=after),)
        return PassResult(model=model, applied=applied if changed else ())


def _check_typed(nodes: list[ir.Node]) -> None:
    for node in nodes:
        for value in node.outputs:
            if value.dtype is None and value.uses():
                raise GraphError(f"node {node.name}", f"the type of {value.name} is unknown", "infer shapes first")


def _kept(options: CastPrecision, nodes: list[ir.Node], opset: int) -> set[ir.Node]:
    """The nodes that stay float32: those listed, and what lies between them and nothing else."""
    kept = {node for node in nodes if _stays(options, node, opset)}
    between = {node for node in nodes if node not in kept and node.op_type in _BETWEEN and node.domain in _STANDARD}
    while leaving := {node for node in between if not _enclosed(node, kept | between)}:
        between -= leaving
    return kept | between


def _stays(options: CastPrecision, node: ir.Node, opset: int) -> bool:
    if any(
        attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attribute in node.attributes.values()
    ):
        return True
    if node.domain not in _STANDARD:
        return node.op_type not in options.parameters
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        return opset < _HALF_SCALES
    if node.op_type in _REDUCTIONS:
        return _reduced(node) >= LARGE
    return node.op_type in options.keep or node.op_type in _SOURCES


def _reduced(node: ir.Node) -> int:
    """How many elements become one; large where shapes do not say."""
    x, y = node.inputs[0], node.outputs[0]
    if x is None or x.shape is None or y.shape is None:
        return LARGE
    before, after = ([d for d in value.shape or () if isinstance(d, int)] for value in (x, y))
    return prod(before) // max(prod(after), 1) if len(x.shape) - len(before) == len(y.shape) - len(after) else LARGE


def _enclosed(node: ir.Node, float32: set[ir.Node]) -> bool:
    """Whether every float value a node reads is computed, and every one it makes is used, by nodes of `float32`."""
    read = [v for v in node.inputs if v is not None and v.dtype == ir.DataType.FLOAT and not v.is_initializer()]
    uses = [use.node for value in node.outputs for use in value.uses()]
    ends = any(value.is_graph_output() for value in node.outputs)
    return bool(read and uses) and not ends and all(v.producer() in float32 for v in read) and float32.issuperset(uses)


class _Casts:
    """The same value in both types: a Cast beside its producer, or a second initializer, made at first need."""

    def __init__(self, model: ir.Model, half: ir.DataType) -> None:
        self.graph, self.half = model.graph, half
        self._views: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}
        self._floats = [value for value in self.graph.initializers.values() if value.dtype == ir.DataType.FLOAT]

    def node(self, node: ir.Node, kept: bool, parameters: Mapping[str, frozenset[int]]) -> bool:
        """Give a node inputs of its type; whether it computes in half precision now."""
        fixed = (
            parameters.get(node.op_type, frozenset()) if node.domain else _ALWAYS_FLOAT.get(node.op_type, frozenset())
        )
        floats = [
            v for v in (*node.inputs, *node.outputs) if v is not None and v.dtype in (ir.DataType.FLOAT, self.half)
        ]
        if not floats:
            return False
        for index, value in enumerate(node.inputs):
            if value is not None and value.dtype in (ir.DataType.FLOAT, self.half):
                wanted = ir.DataType.FLOAT if kept or index in fixed else self.half
                node.replace_input_with(index, self.view(value, wanted))
        for value in node.outputs:
            if not kept and value.dtype == ir.DataType.FLOAT:
                value.type = ir.TensorType(self.half)  # a new one: clones of a graph share the type objects
        return not kept

    def view(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        """`value` as `dtype`."""
        if value.dtype == dtype:
            return value
        key = (value, dtype)
        if key not in self._views:
            self._views[key] = self._constant(value, dtype) if value.is_initializer() else self._cast(value, dtype)
        return self._views[key]

    def _constant(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        if value.const_value is None:
            raise GraphError(str(value.name), "this initializer has no value", "export the model again")
        with np.errstate(over="ignore"):  # an infinity is found by the proofs
            array = value.const_value.numpy().astype(dtype.numpy())
        name = f"{value.name}_{dtype.name.lower()}"
        new = ir.Value(
            name=name, shape=value.shape, type=ir.TensorType(dtype), const_value=ir.tensor(array, dtype, name)
        )
        self.graph.register_initializer(new)
        return new

    def _cast(self, value: ir.Value, dtype: ir.DataType, name: str | None = None) -> ir.Value:
        name = name or f"{value.name}_{dtype.name.lower()}"
        out = ir.Value(name=name, shape=value.shape, type=ir.TensorType(dtype))
        node = ir.node("Cast", [value], {"to": int(dtype)}, outputs=[out], name=f"{name}/Cast")
        producer = value.producer()
        if producer is None:
            first = next(iter(self.graph), None)
            self.graph.append(node) if first is None else self.graph.insert_before(first, node)
        else:
            self.graph.insert_after(producer, node)
        return out

    def keep_outputs(self) -> None:
        """A Cast of its own behind every float output, which takes the output's name and keeps its type."""
        for index, value in enumerate(self.graph.outputs):
            if value.dtype != ir.DataType.FLOAT or value.producer() is None:
                continue
            name, value.name = str(value.name), f"{value.name}_inner"
            self.graph.outputs[index] = self._cast(value, ir.DataType.FLOAT, name)

    def feed_subgraphs(self) -> None:
        """A node inside a subgraph computes in float32, what it captures from outside included."""
        for outer in list(self.graph):
            for node in _inner_nodes(outer):
                for index, value in enumerate(node.inputs):
                    if value is not None and value.dtype == self.half and value.graph is self.graph:
                        node.replace_input_with(index, self.view(value, ir.DataType.FLOAT))

    def drop_unused(self) -> None:
        """Float initializers that every user has in half precision now."""
        for value in self._floats:
            if not value.uses() and not value.is_graph_output() and not value.is_graph_input():
                self.graph.initializers.pop(str(value.name), None)


def _inner_nodes(node: ir.Node) -> list[ir.Node]:
    graphs: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            graphs.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            graphs.extend(attribute.as_graphs())
    return [inner for graph in graphs for inner in ir.traversal.RecursiveGraphIterator(graph)]
