"""Shift operators into the dense layers that they mean: for runtimes that would not fold the unpacking by themselves.

The weights are exact in float32; a file grows from the codes' few bits to 32 a weight.
"""

from __future__ import annotations

import onnx_ir as ir

from edgevision.passes.attach_bodies import attach_bodies
from edgevision.passes.graph_pass import PassResult
from edgevision.passes.inline_bodies import inline_bodies
from edgevision.passes.tidy import tidy

__all__ = ["SHIFTS", "dense_shifts"]

SHIFTS = ("EvShiftLinear", "EvShiftConv")


def dense_shifts(model: ir.Model) -> PassResult:
    """Unpack every shift operator of `model`, in place."""
    if not any(node.op_type in SHIFTS for node in model.graph.all_nodes()):
        return PassResult(model=model, applied=())
    attach_bodies(model)
    result = inline_bodies(model, SHIFTS)
    tidy(model)
    return result
