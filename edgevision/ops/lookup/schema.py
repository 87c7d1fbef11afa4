"""Name and inputs of the lookup, for the operator and for its body."""

from __future__ import annotations

from edgevision.ops.operator import Tensor

__all__ = ["INPUTS", "NAME"]

NAME = "EvLookup"

INPUTS = (
    Tensor(name="x", shape="[...]", doc="quantized values, of any shape", type="8 bits"),
    Tensor(name="table", shape="[256]", doc="quantized results", type="8 bits"),
)
