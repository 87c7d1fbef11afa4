"""A graph in float64, in the standard's reference evaluator: what it computes when nothing is rounded to speak of.

Our own operators run by their float64 references. No runtime here has float64 convolutions, so this serves to judge
float32, not to be deployed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from edgevision.ops.operator import DOMAIN, Operator, operators
from edgevision.reparam.convolution_by_definition import Conv, ConvTranspose
from edgevision.reparam.norm_by_definition import BatchNormalization

__all__ = ["run_in_float64"]

Array = NDArray[Any]
_NARROW, _WIDE = ir.DataType.FLOAT, ir.DataType.DOUBLE


def run_in_float64(model: ir.Model, feed: Mapping[str, Array]) -> list[Array] | None:
    """Outputs of the graph with every float32 in it widened; None where the evaluator has no such operator.

    The model is left as it is.
    """
    wide = model.clone()
    for key in [key for key in wide.functions if key[0] == DOMAIN]:  # the references stand in for the bodies
        del wide.functions[key]
    for graph in (wide.graph, *(function.graph for function in wide.functions.values())):
        _widen(graph)
        for inner in graph.subgraphs():
            _widen(inner)
    feeds = {name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in feed.items()}
    try:
        evaluator = ReferenceEvaluator(ir.to_proto(wide), new_ops=[BatchNormalization, Conv, ConvTranspose, *_own()])
        return list(evaluator.run(None, feeds))
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        return None  # the evaluator is Python written for examples: it raises any of these


def _own() -> Iterator[type[OpRun]]:
    """Our operators as the evaluator's."""

    def run(operator: Operator, inputs: Sequence[Array | None], given: Mapping[str, Any]) -> tuple[Array, ...]:
        attributes = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        return tuple(operator.reference(inputs, operator.attribute_values(attributes)))

    for operator in operators().values():
        body = {"op_domain": DOMAIN, "_run": lambda _, *x, _operator=operator, **given: run(_operator, x, given)}
        yield type(operator.name, (OpRun,), body)


def _widen(graph: ir.Graph) -> None:
    for value in graph.initializers.values():
        if value.const_value is not None and value.const_value.dtype == _NARROW:
            value.const_value = _wide(value.const_value)
            value.type = ir.TensorType(_WIDE)
    for value in (*graph.inputs, *graph.outputs, *(v for node in graph for v in node.outputs)):
        if value.dtype == _NARROW:
            value.type = ir.TensorType(_WIDE)
    for node in graph:
        for attribute in list(node.attributes.values()):
            _widen_attribute(node, attribute)


def _widen_attribute(node: ir.Node, attribute: ir.Attr) -> None:
    """Constants become float64, and so does what an operator is told to make float32."""
    if attribute.is_ref():
        return
    if attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype == _NARROW:
        node.attributes[attribute.name] = ir.AttrTensor(attribute.name, _wide(attribute.as_tensor()))
    elif node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
        del node.attributes[attribute.name]
        node.attributes["value"] = ir.AttrTensor("value", ir.tensor(np.asarray(attribute.value, np.float64)))
    elif attribute.name in ("to", "dtype") and attribute.value == _NARROW:
        node.attributes[attribute.name] = ir.AttrInt64(attribute.name, int(_WIDE))


def _wide(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype(np.float64), name=tensor.name)
