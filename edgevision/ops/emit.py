"""The ONNX node of an operator, written while `torch.onnx.export` translates the torch custom op.

One node comes out, whatever the attributes: all of them are written, so that no runtime has to know our defaults, and
the two by which TensorRT finds a plugin are among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx.defs
import onnxscript

from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES, VERSION, AttributeValue, Operator, Tensor

__all__ = ["emit", "onnx_schema"]

_KINDS = {
    "int": onnx.defs.OpSchema.AttrType.INT,
    "float": onnx.defs.OpSchema.AttrType.FLOAT,
    "string": onnx.defs.OpSchema.AttrType.STRING,
    "ints": onnx.defs.OpSchema.AttrType.INTS,
}
_FLOATS = ["tensor(float)", "tensor(double)", "tensor(float16)", "tensor(bfloat16)"]


def onnx_schema(operator: Operator) -> onnx.defs.OpSchema:
    """The operator as an ONNX schema; it is not registered anywhere."""
    formal = onnx.defs.OpSchema.FormalParameter
    option = onnx.defs.OpSchema.FormalParameterOption
    return onnx.defs.OpSchema(
        operator.name,
        DOMAIN,
        VERSION,
        doc=operator.doc,
        inputs=[
            formal(t.name, _type(t), t.doc, param_option=option.Optional if t.optional else option.Single)
            for t in operator.inputs
        ],
        outputs=[formal(t.name, _type(t), t.doc) for t in operator.outputs],
        type_constraints=[("T", _FLOATS, "floating point")],
        attributes=[
            onnx.defs.OpSchema.Attribute(a.name, _KINDS[a.kind], a.doc, required=False) for a in operator.attributes
        ]
        + [onnx.defs.OpSchema.Attribute(name, _KINDS["string"], required=False) for name in PLUGIN_ATTRIBUTES],
    )


def _type(tensor: Tensor) -> str:
    return "T" if tensor.type == "T" else f"tensor({tensor.type})"


def emit(operator: Operator, inputs: Sequence[Any], attributes: Mapping[str, AttributeValue]) -> Any:
    """Record one node of `operator` in the graph being exported and return its output.

    An absent optional input is an empty input; trailing ones are left off.
    """
    given = list(inputs)
    while given and given[-1] is None:
        given.pop()
    node = onnxscript.values.Op(onnxscript.values.Opset(DOMAIN, VERSION), operator.name, onnx_schema(operator))
    return node(*given, **operator.attribute_values(attributes), **PLUGIN_ATTRIBUTES)
