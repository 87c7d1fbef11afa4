"""Computes a node whose inputs are all known, with the implementations the ONNX standard ships.

Weights that a graph keeps quantized (`DequantizeLinear` of a constant) are left alone: they become `constexpr` ops.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from edgevision.targets.coreml.lowering.table import Bound, Call

__all__ = ["fold", "foldable"]

_NEVER = frozenset(
    {"DequantizeLinear", "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial"}
    | {"Bernoulli", "Dropout", "If", "Loop", "Scan", "Constant", "Identity", "Shape", "Size"}
)


def foldable(call: Call) -> bool:
    """Whether the node's outputs are known now."""
    return (
        call.node.domain in ("", "ai.onnx")
        and call.node.op_type not in _NEVER
        and all(bound is None or isinstance(bound, np.ndarray) for bound in call.inputs)
        and len(call.inputs) > 0
    )


def fold(call: Call) -> Sequence[Bound]:
    """The node's outputs, computed by `onnx.reference`."""
    node = call.node
    inputs = [None if bound is None else ir.Value(name=f"i{k}") for k, bound in enumerate(call.inputs)]
    outputs = [ir.Value(name=f"o{k}") for k in range(len(node.outputs))]
    alone = ir.Node("", node.op_type, inputs, list(call.attributes.values()), outputs=outputs, name=node.name)
    feeds = {f"i{k}": bound for k, bound in enumerate(call.inputs) if bound is not None}
    proto = onnx.helper.make_graph(
        [ir.to_proto(alone)],
        "fold",
        [
            onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for n, v in feeds.items()
        ],
        [onnx.helper.make_empty_tensor_value_info(v.name or "") for v in outputs],
    )
    model = onnx.helper.make_model(proto, opset_imports=[onnx.helper.make_opsetid("", call.opset)])
    return [np.asarray(result) for result in ReferenceEvaluator(model).run(None, feeds)]
