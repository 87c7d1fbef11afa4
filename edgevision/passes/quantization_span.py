"""What a QuantizeLinear or DequantizeLinear node does, where one scale and a zero point of 8 bits say it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

__all__ = ["Span", "span_of"]


@dataclass(frozen=True)
class Span:
    """real = (integer - zero) scale, for integers of type `kind`, uint8 or int8."""

    scale: float
    zero: int
    kind: str

    def values(self) -> NDArray[np.float64]:
        """What DequantizeLinear makes of the 256 integers, in the order of their bits as unsigned numbers."""
        integers = np.arange(256, dtype=np.uint8).view(self.kind).astype(np.int64)
        return ((integers - self.zero).astype(np.float32) * np.float32(self.scale)).astype(np.float64)


def span_of(node: ir.Node) -> Span | None:
    """None where scales are per channel or computed, or the integers have other than 8 bits."""
    tensors = [None if v is None else ir.convenience.get_const_tensor(v) for v in node.inputs[1:3]]
    if len(tensors) != 2 or any(t is None or t.size != 1 for t in tensors):
        return None
    scale, zero = (t.numpy() for t in tensors if t is not None)
    kind = zero.dtype.name
    return Span(float(scale.reshape(())), int(zero.reshape(())), kind) if kind in ("uint8", "int8") else None
