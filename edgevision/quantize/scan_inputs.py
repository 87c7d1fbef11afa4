"""State-space-aware quantization: what computes the steps, B and C of a selective scan stays in float.

    h_t = exp(delta_t A) h_(t-1) + delta_t B_t u_t

An error in delta is exponentiated and carried along the whole sequence, and the softplus before it spans many octaves,
so that a scale common to all channels leaves most of them no steps. These projections are small: rank + 2 N rows.
"""

from __future__ import annotations

import onnx_ir as ir

from edgevision.ops.operator import DOMAIN

__all__ = ["scan_projections"]

#: Inputs of EvSelectiveScan that are not the signal: delta, B and C.
_PARAMETERS = (1, 3, 4)
_MOVING = frozenset(
    {"Reshape", "Transpose", "Split", "Slice", "Squeeze", "Unsqueeze", "Flatten", "Concat", "Softplus", "Add"}
)
_LINEAR = frozenset({"Conv", "Gemm", "MatMul"})


def scan_projections(model: ir.Model) -> tuple[str, ...]:
    """Names of the linear operators that lead to a scan's delta, B or C by nothing but moves, shifts and softplus."""
    found: dict[str, None] = {}
    for scan in model.graph:
        if scan.op_type == "EvSelectiveScan" and scan.domain == DOMAIN:
            starts = [scan.inputs[i] for i in _PARAMETERS if i < len(scan.inputs)]
            found |= dict.fromkeys(name for value in starts for name in _behind(value))
    return tuple(found)


def _behind(value: ir.Value | None) -> list[str]:
    names, queue, seen = [], [value], set()
    while queue:
        current = queue.pop()
        node = None if current is None else current.producer()
        if node is None or node in seen or node.domain:
            continue
        seen.add(node)
        if node.op_type in _LINEAR and _constant_weight(node):
            names.append(node.name or str(node.outputs[0].name))
            continue
        if node.op_type in _MOVING:
            queue += list(node.inputs)
    return names


def _constant_weight(node: ir.Node) -> bool:
    return len(node.inputs) > 1 and node.inputs[1] is not None and node.inputs[1].const_value is not None
