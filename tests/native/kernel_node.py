"""A model of one custom node without a body: it can only run where the kernel does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from edgevision import native
from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES, AttributeValue

Arrays = Sequence[NDArray[np.generic] | None]

INPUTS = {
    "EvSelectiveScan": ("u", "delta", "A", "B", "C", "D", "delta_bias", "z"),
    "EvDWT": ("x", "filters"),
    "EvDepthwiseConv": ("x", "weight", "bias"),
    "EvIDWT": ("x", "filters"),
    "EvChannelNorm": ("x", "weight", "bias", "z"),
    "EvIntegerNorm": ("x", "weight", "bias"),
    "EvIntegerResponseNorm": ("x", "table", "gamma"),
    "EvLookup": ("x", "table"),
    "EvProjectedScan": ("x", "projection", "steps", "A", "D", "delta_bias"),
    "EvResponseNorm": ("x", "gamma"),
    "EvShiftConv": ("x", "packed", "scale", "bias"),
    "EvShiftLinear": ("x", "packed", "scale", "bias"),
    "EvWaveletConv": ("x", "forward", "inverse", "weight", "bias", "residual"),
}


def model(op: str, inputs: Arrays, attributes: Mapping[str, AttributeValue]) -> bytes:
    """The node; its dims are left open, so that nothing but the kernel checks them."""
    names = INPUTS[op][: len(inputs)]
    values = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), [f"{name}{i}" for i in range(array.ndim)]
        )
        for name, array in zip(names, inputs, strict=True)
        if array is not None
    ]
    given = [name if array is not None else "" for name, array in zip(names, inputs, strict=True)]
    node = helper.make_node(op, given, ["y"], domain=DOMAIN, **attributes, **PLUGIN_ATTRIBUTES)
    kind = (
        onnx.TensorProto.FLOAT
        if inputs[0] is None or not op.startswith(("EvInteger", "EvLookup"))
        else values[0].type.tensor_type.elem_type
    )
    graph = helper.make_graph([node], "one", values, [helper.make_tensor_value_info("y", kind, None)])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(DOMAIN, 1)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


def feeds(op: str, inputs: Arrays) -> dict[str, NDArray[np.generic]]:
    """Inputs by name."""
    return {name: array for name, array in zip(INPUTS[op], inputs, strict=False) if array is not None}


def session(serialized: bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """The model with our kernels."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    assert native.register(options)
    return onnxruntime.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])


def run(op: str, inputs: Arrays, attributes: Mapping[str, AttributeValue], threads: int = 1) -> NDArray[np.float32]:
    """The node's output through its kernel."""
    opened = session(model(op, inputs, attributes), threads)
    return np.asarray(opened.run(None, feeds(op, inputs))[0])
