"""Bodies that the ONNX standard gives to its own composite operators (`GroupNormalization`, `Celu`, losses, ...)."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from coremltools.converters.mil.mil import types

from edgevision.targets.coreml.lowering.table import Call

__all__ = ["schema_defaults", "schema_function"]

_ONNX_OF_MIL = {
    "fp32": onnx.TensorProto.FLOAT,
    "fp16": onnx.TensorProto.FLOAT16,
    "bool": onnx.TensorProto.BOOL,
    "int32": onnx.TensorProto.INT64,
    "int8": onnx.TensorProto.INT8,
    "uint8": onnx.TensorProto.UINT8,
}


def schema_function(call: Call) -> ir.Function | None:
    """The body of the node's operator, None where the standard defines none."""
    node = call.node
    domain = "" if node.domain == "ai.onnx" else node.domain
    if not onnx.defs.has(node.op_type, domain):
        return None
    schema = onnx.defs.get_schema(node.op_type, call.opset, domain)
    versions = [v for v in schema.all_function_opset_versions if v <= call.opset]
    if not versions:
        return None
    if max(versions) in schema.context_dependent_function_opset_versions:
        types_of_inputs = [_type_proto(*pair) for pair in zip(node.inputs, call.inputs, strict=True)]
        serialized = schema.get_context_dependent_function_with_opset_version(
            max(versions), _alone(call).SerializeToString(), [t.SerializeToString() for t in types_of_inputs]
        )
    else:
        serialized = schema.get_function_with_opset_version(max(versions))
    proto = onnx.FunctionProto.FromString(serialized) if isinstance(serialized, bytes) else serialized
    if domain == "" and not any(entry.domain in ("", "ai.onnx") for entry in proto.opset_import):
        proto.opset_import.append(onnx.helper.make_opsetid("", max(versions)))
    made = {name for node in proto.node for name in node.output}
    # Outputs that the node does not ask for are not computed by its body; a body must name something for them.
    proto.node.extend(
        onnx.helper.make_node("Constant", [], [name], value_int=0) for name in proto.output if name not in made
    )
    return ir.from_proto(proto) if made else None


def schema_defaults(call: Call) -> dict[str, ir.Attr]:
    """Default values of the attributes of the node's operator, which its body refers to where the node has none."""
    domain = "" if call.node.domain == "ai.onnx" else call.node.domain
    schema = onnx.defs.get_schema(call.node.op_type, call.opset, domain)
    protos = {name: attribute.default_value for name, attribute in schema.attributes.items()}
    return {name: ir.from_proto(proto) for name, proto in protos.items() if proto.name}


def _alone(call: Call) -> onnx.NodeProto:
    inputs = [None if bound is None else ir.Value(name=f"i{k}") for k, bound in enumerate(call.inputs)]
    outputs = [ir.Value(name=value.name) for value in call.node.outputs]
    return ir.to_proto(
        ir.Node(call.node.domain, call.node.op_type, inputs, list(call.attributes.values()), outputs=outputs)
    )


def _type_proto(value: ir.Value | None, bound: Any) -> onnx.TypeProto:
    if bound is None:
        return onnx.TypeProto()
    if isinstance(bound, np.ndarray):
        element = onnx.helper.np_dtype_to_tensor_dtype(bound.dtype)
    elif value is not None and value.dtype is not None:
        element = int(value.dtype)
    else:
        element = _ONNX_OF_MIL[types.builtin_to_string(bound.dtype)]
    return onnx.helper.make_tensor_type_proto(element, list(bound.shape))
