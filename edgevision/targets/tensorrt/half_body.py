"""The body of a node whose data is float16: the float32 body between Casts, as the plugin computes it."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from edgevision.ops.operator import Operator, Signature
from edgevision.targets.tensorrt.plugins.plugin import plugins

__all__ = ["half_body"]


def half_body(operator: Operator, signature: Signature) -> ir.Function:
    """The canonical body in float32; inputs that are data, and the output, are float16 outside of it."""
    inner = operator.bodies["canonical"](replace(signature, element_type=int(ir.DataType.FLOAT))).clone()
    inner.overload = f"{inner.overload}_half"
    for index, value in enumerate(inner.inputs):
        if signature.present(index) and plugins()[operator.name].inputs[index].data:
            uses = tuple(value.uses())
            widened = ir.node("Cast", [value], {"to": int(ir.DataType.FLOAT)}, name=f"{value.name}/widen")
            first = next(iter(inner))
            inner.graph.insert_before(first, widened)
            for use in uses:
                use.node.replace_input_with(use.idx, widened.outputs[0])
    result = inner.outputs[0]
    narrowed = ir.node("Cast", [result], {"to": int(ir.DataType.FLOAT16)}, name=f"{result.name}/narrow")
    inner.graph.append(narrowed)
    inner.outputs[0] = narrowed.outputs[0]
    return inner
