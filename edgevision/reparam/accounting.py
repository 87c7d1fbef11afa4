"""Parameters and multiply-accumulates of nodes, for the rows of the report.

Parameters are the floating-point constants a node reads. Multiply-accumulates are those of one sample in Conv,
ConvTranspose, Gemm and MatMul: every weight meets every position of the output map once (of the input map, for
ConvTranspose). Elementwise work is not counted, as is usual.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import onnx_ir as ir

__all__ = ["macs", "parameters"]


def parameters(nodes: Iterable[ir.Node]) -> int:
    """Elements of the floating-point constants the nodes read, a shared one counted once."""
    seen: dict[int, int] = {}
    for node in nodes:
        for value in node.inputs:
            tensor = None if value is None else ir.convenience.get_const_tensor(value)
            if tensor is not None and tensor.dtype.is_floating_point():
                seen[id(value)] = tensor.size
    return sum(seen.values())


def macs(nodes: Iterable[ir.Node]) -> int | None:
    """Multiply-accumulates of one sample, None where a map's size is unknown."""
    total = 0
    for node in nodes:
        count = _node_macs(node)
        if count is None:
            return None
        total += count
    return total


def _node_macs(node: ir.Node) -> int | None:
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul") or node.inputs[1] is None:
        return 0
    weight = ir.convenience.get_const_tensor(node.inputs[1])
    map_value = node.inputs[0] if node.op_type == "ConvTranspose" else node.outputs[0]
    if weight is None or map_value is None or map_value.shape is None:
        return None
    shape = tuple(map_value.shape)
    sizes = shape[1:-1] if node.op_type == "MatMul" else shape[2:]
    known = [size for size in sizes if isinstance(size, int)]
    return weight.size * math.prod(known) if len(known) == len(sizes) else None
