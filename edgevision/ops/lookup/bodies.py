"""The lookup in standard operators."""

from __future__ import annotations

import onnx_ir as ir

from edgevision.ops.lookup.schema import INPUTS, NAME
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, function

__all__ = ["BODIES"]


def _gather(signature: Signature) -> ir.Function:
    """Gather takes no index of 8 bits, but negative ones as the table has them."""
    r = Recorder(signature.element_type)
    x, table = inputs = [ir.Value(name=t.name) for t in INPUTS]
    y = r.op("Gather", table, r.op("Cast", x, to=int(ir.DataType.INT32)), axis=0)
    return function(NAME, "gather", inputs, y, (), r)


BODIES = {"canonical": _gather}
