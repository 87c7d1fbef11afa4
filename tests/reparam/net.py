"""Small ONNX graphs for the tests of the algebra, built node by node with random weights, and run in ONNX Runtime."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from edgevision.passes.graph_pass import PassResult
from edgevision.proof import worst_difference
from edgevision.reparam import ReparamOptions, reparameterize

Array = NDArray[np.generic]


class Net:
    """One graph under construction."""

    def __init__(self, seed: int = 0, opset: int = 20) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[ir.Node] = []
        self.inputs: list[ir.Value] = []
        self.weights: list[ir.Value] = []
        self.opset = opset

    def input(self, *shape: int | str, name: str = "x", dtype: ir.DataType = ir.DataType.FLOAT) -> ir.Value:
        value = ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(dtype))
        self.inputs.append(value)
        return value

    def weight(self, *shape: int, values: Array | None = None, name: str = "") -> ir.Value:
        array = self.rng.standard_normal(shape, np.float32) if values is None else values
        tensor = ir.tensor(np.ascontiguousarray(array), name=name or f"w{len(self.weights)}")
        value = ir.Value(
            name=tensor.name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self.weights.append(value)
        return value

    def op(self, kind: str, *inputs: ir.Value, domain: str = "", **attributes: object) -> ir.Value:
        node = ir.node(kind, inputs, attributes, domain=domain, name=f"{kind}_{len(self.nodes)}")  # type: ignore[arg-type]
        node.outputs[0].name = f"v{len(self.nodes)}"
        node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        self.nodes.append(node)
        return node.outputs[0]

    def conv(
        self,
        x: ir.Value,
        out: int,
        channels: int,
        *kernel: int,
        groups: int = 1,
        bias: bool = True,
        **attributes: object,
    ) -> ir.Value:
        weights = [self.weight(out, channels // groups, *kernel)]
        if bias:
            weights.append(self.weight(out))
        return self.op("Conv", x, *weights, group=groups, **attributes)

    def norm(self, x: ir.Value, channels: int, *, variance: Array | None = None, **attributes: object) -> ir.Value:
        var = self.rng.uniform(0.5, 2.0, channels).astype(np.float32) if variance is None else variance
        statistics = [self.weight(channels), self.weight(channels), self.weight(channels), self.weight(values=var)]
        return self.op("BatchNormalization", x, *statistics, **attributes)

    def model(self, *outputs: ir.Value) -> ir.Model:
        imports = {"": self.opset, **{node.domain: 1 for node in self.nodes if node.domain}}
        graph = ir.Graph(
            self.inputs,
            outputs,
            nodes=self.nodes,
            initializers=self.weights,
            opset_imports=imports,
            name="net",
        )
        return ir.Model(graph, ir_version=10)


def run(model: ir.Model, feeds: dict[str, Array]) -> list[Array]:
    """The graph in ONNX Runtime, its own optimizations off."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds))


def feeds_of(model: ir.Model, seed: int = 1, **sizes: int) -> dict[str, Array]:
    """Random inputs; `sizes` gives the symbolic dimensions."""
    rng = np.random.default_rng(seed)
    return {
        str(value.name): rng.standard_normal(
            [d if isinstance(d, int) else sizes[str(d)] for d in value.shape or ()], np.float32
        )
        for value in model.graph.inputs
        if value.const_value is None
    }


def anonymise(model: ir.Model, seed: int) -> None:
    """Random names for everything but the signature, and the operands of every Add in random order."""
    draw = random.Random(seed)
    kept = {*model.graph.inputs, *model.graph.outputs}

    def name() -> str:
        return f"{draw.getrandbits(64):016x}"

    for value in list(model.graph.initializers.values()):
        value.name = name()
    for node in model.graph:
        node.name = name()
        for value in node.outputs:
            if value not in kept:
                value.name = name()
        if node.op_type == "Add" and draw.random() < 0.5:
            first, second = node.inputs
            node.replace_input_with(0, second)
            node.replace_input_with(1, first)


def ops(model: ir.Model) -> Counter[str]:
    """How many nodes of each type."""
    return Counter(node.op_type for node in model.graph)


def merged(model: ir.Model, *, equations: Sequence[str] | None = None, **sizes: int) -> PassResult:
    """Reparameterize, having checked what holds for every graph: equal outputs, and nothing left for a second run."""
    options = ReparamOptions(equations=None if equations is None else tuple(equations))
    feeds = feeds_of(model, **sizes)
    before = run(model, feeds)
    result = reparameterize(model, options)
    assert worst_difference(before, run(result.model, feeds)).max_abs_over_std < 1e-5
    for row in result.applied:
        assert row.error_float64 is not None and row.error_float64 <= 1e-9
        assert row.error_float32 is not None and row.error_float32 <= 1e-5
    again = reparameterize(result.model, options)
    assert not again.modified
    assert again.declined == result.declined
    return result


def reasons(result: PassResult) -> str:
    """All reasons of a result in one text."""
    return "\n".join(row.reason for row in result.declined)
