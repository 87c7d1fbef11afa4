"""Builds small graphs, converts them, evaluates the saved package, and compares with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray

from edgevision.ops.operator import operators
from edgevision.proof import Difference, worst_difference
from edgevision.targets.coreml.evaluator import Evaluator
from edgevision.targets.coreml.names import mil_name
from edgevision.targets.coreml.package import PackageOptions, convert, save

Array = NDArray[Any]
HEADER = '<ir_version: 10, opset_import: ["" : 20, "edgevision" : 1]>\n'


@dataclass(frozen=True)
class Case:
    """A graph in ONNX text with its constants; `feeds` are drawn at random where not given."""

    text: str
    constants: Mapping[str, Array] = field(default_factory=dict)
    feeds: Mapping[str, Array] = field(default_factory=dict)

    def proto(self) -> onnx.ModelProto:
        proto = onnx.parser.parse_model(HEADER + self.text)
        proto.graph.initializer.extend(onnx.numpy_helper.from_array(v, k) for k, v in self.constants.items())
        for index, node in enumerate(proto.graph.node):
            node.name = f"{node.op_type}_{index}"
        return proto

    def model(self) -> ir.Model:
        return ir.from_proto(onnx.shape_inference.infer_shapes(self.proto()))


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def ints(*values: int) -> Array:
    return np.asarray(values, np.int64)


def inputs_of(model: ir.Model, given: Mapping[str, Array], seed: int = 0) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    feeds = {}
    for value in model.graph.inputs:
        assert value.name and value.shape is not None and value.dtype is not None
        shape = [int(dim) for dim in value.shape.dims]
        dtype = value.dtype.numpy()
        data = generator.standard_normal(shape) if dtype.kind == "f" else generator.integers(0, 2, shape)
        feeds[value.name] = given.get(value.name, data.astype(dtype))
    return feeds


def expected(proto: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(None, dict(feeds))]


def evaluated(model: ir.Model, feeds: Mapping[str, Array], folder: Path, **options: Any) -> list[Array]:
    """What the saved package of `model` computes, in the order of the graph's outputs."""
    path = save(convert(model, PackageOptions(**options)), folder / "case.mlpackage")
    got = Evaluator(path)({mil_name(name): value for name, value in feeds.items()})
    return [got[mil_name(value.name or "")] for value in model.graph.outputs]


def parity(case: Case, folder: Path, **options: Any) -> Difference:
    """Distance of the package from ONNX Runtime."""
    model = case.model()
    feeds = inputs_of(model, case.feeds)
    references = expected(case.proto(), feeds)
    results = evaluated(model, feeds, folder, **{"precision": "fp32", **options})
    shaped = [r.reshape(e.shape) if r.size == e.size else r for r, e in zip(results, references, strict=True)]
    return worst_difference(references, shaped)


def kinds(model: ir.Model, folder: Path, **options: Any) -> list[tuple[str, str]]:
    """Kind and output element type of every operation of the saved program, in order."""
    path = save(convert(model, PackageOptions(**options)), folder / "kinds.mlpackage")
    return [(o.kind, o.outputs[0][1].dtype) for o in Evaluator(path).program.main.operations]


def node_model(
    op: str, inputs: Sequence[Array | None], fixed: Sequence[int], attributes: Mapping[str, Any]
) -> ir.Model:
    """A model of one node; inputs at the places in `fixed` are constants."""
    values: list[ir.Value | None] = []
    initializers, graph_inputs = [], []
    for index, (tensor, array) in enumerate(zip(operators()[op].inputs, inputs, strict=False)):
        if array is None:
            values.append(None)
            continue
        kind = ir.DataType.FLOAT if tensor.type == "T" else ir.DataType.from_numpy(array.dtype)
        value = ir.Value(name=tensor.name, type=ir.TensorType(kind), shape=ir.Shape(array.shape))
        if index in fixed:
            value.const_value = ir.Tensor(array, name=tensor.name)
            initializers.append(value)
        else:
            graph_inputs.append(value)
        values.append(value)
    while values and values[-1] is None:
        values.pop()
    y = ir.Value(name="y", type=ir.TensorType(ir.DataType.FLOAT))
    node = ir.node(op, values, attributes, domain="edgevision", outputs=[y], name=op)
    graph = ir.Graph(
        graph_inputs, [y], nodes=[node], initializers=initializers, opset_imports={"": 20, "edgevision": 1}
    )
    return ir.Model(graph, ir_version=10)
