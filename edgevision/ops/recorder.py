"""Recording nodes one call at a time, to write an operator's body as an `onnx_ir.Function`.

    r = Recorder()
    y = r.op("Mul", x, r.op("Sigmoid", x))

Constants are nodes here, since a function has no initializers; equal ones are recorded once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES, Attribute

__all__ = ["OPSET", "Recorder", "Sequenced", "function"]

#: The opset whose operators bodies are written in.
OPSET = 20

AttributeLike = int | float | str | Sequence[int] | ir.Graph | ir.TensorProtocol


@dataclass(frozen=True, kw_only=True)
class Sequenced:
    """A tensor that a Scan takes apart (or puts together) along axis 0, from the end when `reverse`."""

    value: ir.Value
    rank: int
    reverse: bool = False


class Recorder:
    """Nodes of one graph, in order. `element_type` is that of every float constant and every subgraph's tensors."""

    def __init__(self, element_type: int = 1, prefix: str = "v") -> None:
        self.element_type = ir.DataType(element_type)
        self.nodes: list[ir.Node] = []
        self._prefix = prefix
        self._names = 0
        self._constants: dict[tuple[str, tuple[int, ...] | float], ir.Value] = {}

    def op(self, op_type: str, *inputs: ir.Value | None, **attributes: AttributeLike) -> ir.Value:
        """Record a standard ONNX node with one output."""
        return self.op_outputs(op_type, inputs, 1, **attributes)[0]

    def op_outputs(
        self, op_type: str, inputs: Sequence[ir.Value | None], outputs: int, **attributes: AttributeLike
    ) -> Sequence[ir.Value]:
        """Record a standard ONNX node with several outputs."""
        names = [self._name() for _ in range(outputs)]
        attrs = ir.convenience.convert_attributes(attributes)
        node = ir.Node(
            "", op_type, inputs, attrs, outputs=[ir.Value(name=name) for name in names], name=f"{op_type}_{names[0]}"
        )
        self.nodes.append(node)
        return node.outputs

    def ints(self, *values: int) -> ir.Value:
        """A constant int64 vector."""
        return self._constant("ints", values, lambda: ir.tensor(list(values), ir.DataType.INT64))

    def integer(self, value: int) -> ir.Value:
        """A constant int64 scalar."""
        return self._constant("integer", value, lambda: ir.tensor(value, ir.DataType.INT64))

    def scalar(self, value: float) -> ir.Value:
        """A constant float scalar of the recorder's element type."""
        return self._constant("scalar", value, lambda: ir.tensor(value, self.element_type))

    def reshape(self, x: ir.Value, *dims: int) -> ir.Value:
        """Reshape, where 0 keeps a dim and -1 is what is left."""
        return self.op("Reshape", x, self.ints(*dims))

    def split(self, x: ir.Value, sizes: Sequence[int], axis: int) -> Sequence[ir.Value]:
        """Split along an axis; nothing is recorded for a single part."""
        if len(sizes) == 1:
            return [x]
        return self.op_outputs("Split", [x, self.ints(*sizes)], len(sizes), axis=axis)

    def concat(self, parts: Sequence[ir.Value], axis: int) -> ir.Value:
        """Concat along an axis; nothing is recorded for a single part."""
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=axis)

    def scan(
        self,
        states: Sequence[Sequenced],
        inputs: Sequence[Sequenced],
        step: Callable[[Recorder, Sequence[ir.Value], Sequence[ir.Value]], tuple[list[ir.Value], list[ir.Value]]],
        outputs_reverse: Sequence[bool],
    ) -> Sequence[ir.Value]:
        """Record a Scan; `step(recorder, states, slices)` records its body and returns (states, outputs).

        All states and each step's outputs have one rank. Returns the final states followed by the outputs, which are
        stacked along axis 0.
        """
        inner = Recorder(self.element_type, f"{self._name()}_")
        formal = [inner._formal(s.rank) for s in states] + [inner._formal(s.rank - 1) for s in inputs]
        after, emitted = step(inner, formal[: len(states)], formal[len(states) :])
        # One value listed as state and as output comes out wrong in ONNX Runtime 1.32, without a word.
        results = list(after)
        for value in emitted:
            results.append(inner.op("Identity", value) if value in (*formal, *results) else value)
        graph = ir.Graph(formal, results, nodes=inner.nodes, name=f"{inner._prefix}step")
        for value in results:
            value.type, value.shape = ir.TensorType(self.element_type), ir.Shape([None] * states[0].rank)
        directions: dict[str, AttributeLike] = {"scan_input_directions": [int(s.reverse) for s in inputs]}
        if outputs_reverse:
            directions["scan_output_directions"] = [int(reverse) for reverse in outputs_reverse]
        given = [s.value for s in (*states, *inputs)]
        return self.op_outputs("Scan", given, len(results), body=graph, num_scan_inputs=len(inputs), **directions)

    def _formal(self, rank: int) -> ir.Value:
        return ir.Value(name=self._name(), type=ir.TensorType(self.element_type), shape=ir.Shape([None] * rank))

    def _name(self) -> str:
        self._names += 1
        return f"{self._prefix}{self._names}"

    def _constant(self, kind: str, value: tuple[int, ...] | float, make: Callable[[], ir.TensorProtocol]) -> ir.Value:
        key = (kind, value)
        if key not in self._constants:
            self._constants[key] = self.op("Constant", value=make())
        return self._constants[key]


def function(
    name: str,
    overload: str,
    inputs: Sequence[ir.Value],
    output: ir.Value,
    attributes: Sequence[Attribute],
    recorder: Recorder,
) -> ir.Function:
    """The recorded nodes as a body of operator `name`; it declares every attribute a node of the operator carries."""
    kinds = {
        "int": ir.AttributeType.INT,
        "float": ir.AttributeType.FLOAT,
        "string": ir.AttributeType.STRING,
        "ints": ir.AttributeType.INTS,
    }
    declared = {a.name: kinds[a.kind] for a in attributes} | dict.fromkeys(PLUGIN_ATTRIBUTES, ir.AttributeType.STRING)
    return ir.Function(
        DOMAIN,
        name,
        overload,
        graph=ir.Graph(inputs, [output], nodes=recorder.nodes, opset_imports={"": OPSET}, name=name),
        attributes=[ir.Attr(name, kind, None) for name, kind in declared.items()],
    )
