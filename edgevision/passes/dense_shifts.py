"""Shift operators into the dense layers that they mean: for runtimes that would not fold the unpacking by themselves.

The weights are exact in float32; a file grows from the codes' few bits to 32 a weight.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from edgevision.passes.attach_bodies import attach_bodies
from edgevision.passes.graph_pass import PassResult
from edgevision.passes.inline_bodies import inline_bodies
from edgevision.passes.tidy import tidy

__all__ = ["SHIFTS", "coded_weights", "dense_shifts"]

SHIFTS = ("EvShiftLinear", "EvShiftConv")


def coded_weights(node: ir.Node) -> int:
    """How many weights the codes of a shift operator stand for; 0 where its shapes do not say."""
    x, packed = (value.shape if value is not None else None for value in node.inputs[:2])
    channels = None if x is None else x[1 if node.op_type == "EvShiftConv" else -1]
    if packed is None or not isinstance(packed[0], int) or not isinstance(channels, int):
        return 0
    if node.op_type == "EvShiftLinear":
        return packed[0] * channels
    taps = math.prod(node.attributes.get_ints("kernel_shape", [1, 1]))
    return packed[0] * (channels // node.attributes.get_int("group", 1)) * taps


def dense_shifts(model: ir.Model) -> PassResult:
    """Unpack every shift operator of `model`, in place."""
    if not any(node.op_type in SHIFTS for node in model.graph.all_nodes()):
        return PassResult(model=model, applied=())
    attach_bodies(model)
    result = inline_bodies(model, SHIFTS)
    tidy(model)
    return result
