"""Parameters and multiply-accumulates of nodes, for the rows of the report.

Parameters are the floating-point constants a node reads. Multiply-accumulates are those of one sample in Conv,
ConvTranspose, Gemm and MatMul: every weight meets every position of the output map once (of the input map, for
ConvTranspose). Elementwise work is not counted, as is usual, nor what a custom operator does inside.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import onnx_ir as ir

from edgevision.passes.inline_bodies import count_nodes

__all__ = ["macs", "parameters", "totals"]

_LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")


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


def totals(model: ir.Model) -> dict[str, int | None]:
    """`nodes` (bodies inlined), `params` and `macs` of a whole graph; products of two activations are counted too."""
    each = [_node_macs(node) if _has_constant_weight(node) else _product_macs(node) for node in model.graph]
    known = [count for count in each if count is not None]
    return {
        "nodes": count_nodes(model),
        "params": parameters(model.graph.all_nodes()),
        "macs": sum(known) if len(known) == len(each) else None,
    }


def _has_constant_weight(node: ir.Node) -> bool:
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    return weight is not None and ir.convenience.get_const_tensor(weight) is not None


def _product_macs(node: ir.Node) -> int | None:
    """Multiply-accumulates of one sample where both operands are computed, None where a size is unknown."""
    if node.op_type not in _LINEAR:
        return 0
    operand, result = (value.shape if value is not None else None for value in (node.inputs[0], node.outputs[0]))
    if node.op_type != "MatMul" or operand is None or result is None:
        return None
    sizes = [*result[1:], operand[-1]]
    known = [size for size in sizes if isinstance(size, int)]
    return math.prod(known) if len(known) == len(sizes) else None


def _node_macs(node: ir.Node) -> int | None:
    if node.op_type not in _LINEAR or node.inputs[1] is None:
        return 0
    weight = ir.convenience.get_const_tensor(node.inputs[1])
    map_value = node.inputs[0] if node.op_type == "ConvTranspose" else node.outputs[0]
    if weight is None or map_value is None or map_value.shape is None:
        return None
    shape = tuple(map_value.shape)
    sizes = shape[1:-1] if node.op_type == "MatMul" else shape[2:]
    known = [size for size in sizes if isinstance(size, int)]
    return weight.size * math.prod(known) if len(known) == len(sizes) else None
