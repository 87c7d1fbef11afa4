"""A Slice over the channels of a map, read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevision.reparam.matching import is_standard
from edgevision.reparam.rewrite import Step, Weights

__all__ = ["Channels", "read_channels"]


@dataclass(frozen=True, kw_only=True)
class Channels:
    """Channels `start` to `end` of `x`, which has `total` of them."""

    x: ir.Value
    start: int
    end: int
    total: int

    def step(self, start: int, end: int) -> Step:
        """A Slice of other channels of the same map."""
        dims = self.x.shape
        shape = None if dims is None else ir.Shape([dims[0], end - start, *dims[2:]])
        bounds = (("start", start), ("end", end), ("axis", 1))
        constants = [
            Weights(array=np.array([number]), name=f"{self.x.name}_{start}_{name}", dtype=np.dtype(np.int64))
            for name, number in bounds
        ]
        return Step(op_type="Slice", inputs=(self.x, *constants), shape=shape)


def read_channels(node: ir.Node | None) -> Channels | None:
    """`node` as a Slice of step 1 over axis 1; None where it is anything else."""
    if node is None or node.op_type != "Slice" or not is_standard(node) or node.inputs[0] is None:
        return None
    numbers = [_number(value) for value in node.inputs[1:]]
    x, shape = node.inputs[0], node.inputs[0].shape
    if len(numbers) < 3 or None in numbers or shape is None or numbers[2] != 1 or numbers[3:] not in ([], [1]):
        return None
    start, end, total = numbers[0], numbers[1], shape[1]
    if start is None or end is None or not isinstance(total, int) or not 0 <= start < end <= total:
        return None
    return Channels(x=x, start=start, end=end, total=total)


def _number(value: ir.Value | None) -> int | None:
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return int(tensor.numpy().reshape(-1)[0]) if tensor is not None and tensor.size == 1 else None
