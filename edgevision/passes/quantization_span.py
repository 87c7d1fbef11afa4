"""What a QuantizeLinear or DequantizeLinear node does, where one scale and a zero point of 8 bits say it."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

__all__ = ["Span", "span_of"]


@dataclass(frozen=True)
class Span:
    """real = (integer - zero) scale, for integers of type `kind`, uint8 or int8."""

    scale: float
    zero: int
    kind: str


def span_of(node: ir.Node) -> Span | None:
    """None where scales are per channel or computed, or the integers have other than 8 bits."""
    tensors = [None if v is None else ir.convenience.get_const_tensor(v) for v in node.inputs[1:3]]
    if len(tensors) != 2 or any(t is None or t.size != 1 for t in tensors):
        return None
    scale, zero = (t.numpy() for t in tensors if t is not None)
    kind = zero.dtype.name
    return Span(float(scale.reshape(())), int(zero.reshape(())), kind) if kind in ("uint8", "int8") else None
