"""A model of one custom node, run in ONNX Runtime through its body, and the distances its results are judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray

from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES, AttributeValue, Operator, Signature
from edgevision.passes.attach_bodies import attach_bodies

Arrays = Sequence[NDArray[np.float32] | None]


def model_of(
    operator: Operator,
    inputs: Arrays,
    attributes: Mapping[str, AttributeValue],
    form: str | Callable[[Operator, Signature], ir.Function] = "canonical",
    dynamic: Mapping[str, Sequence[int]] | None = None,
) -> ir.Model:
    """The node with its body; `dynamic` names the axes of inputs whose size the body must not know."""
    values: list[ir.Value | None] = []
    for tensor, array in zip(operator.inputs, inputs, strict=True):
        if array is None:
            values.append(None)
            continue
        free = (dynamic or {}).get(tensor.name, ())
        shape = [f"{tensor.name}_{i}" if i in free else size for i, size in enumerate(array.shape)]
        kind = ir.DataType.FLOAT if tensor.type == "T" else ir.DataType.from_numpy(array.dtype)
        values.append(ir.Value(name=tensor.name, type=ir.TensorType(kind), shape=ir.Shape(shape)))
    given = {**operator.attribute_values(attributes), **PLUGIN_ATTRIBUTES}
    node = ir.node(operator.name, values, given, domain=DOMAIN, name="node")
    output = node.outputs[0]
    rank = operator.outputs[0].shape.count(",") + 1
    kind = ir.DataType.FLOAT if operator.outputs[0].type == "T" else ir.DataType.from_numpy(inputs[0].dtype)
    output.name, output.type, output.shape = "y", ir.TensorType(kind), ir.Shape([None] * rank)
    graph = ir.Graph(
        [v for v in values if v is not None], [output], nodes=[node], opset_imports={"": 20, DOMAIN: 1}, name="one"
    )
    model = ir.Model(graph, ir_version=10)
    attach_bodies(model, form)
    return model


def session(model: ir.Model) -> onnxruntime.InferenceSession:
    """The model in ONNX Runtime, no kernel of ours registered."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    serialized = ir.to_proto(model).SerializeToString()
    return onnxruntime.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])


def feeds(operator: Operator, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
    """Inputs by name."""
    return {t.name: a for t, a in zip(operator.inputs, inputs, strict=True) if a is not None}


def run(
    operator: Operator, inputs: Arrays, attributes: Mapping[str, AttributeValue], form: str = "canonical"
) -> NDArray[np.float32]:
    """The node's output through its body of that form."""
    return session(model_of(operator, inputs, attributes, form)).run(None, feeds(operator, inputs))[0]
