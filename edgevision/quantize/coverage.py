"""What of a Q/DQ graph ONNX Runtime really computes in 8 bits, read off the graph it makes of it when it loads it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from edgevision.reparam.accounting import macs

__all__ = ["INTEGER_OPS", "Coverage", "coverage", "optimized_graph"]

#: Operators of ONNX Runtime that multiply integers.
INTEGER_OPS = frozenset(
    {"QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat", "ConvInteger", "MatMulInteger"}
)


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How much is computed in 8 bits.

    Attributes:
        share: of the float graph's multiply-accumulates with constant weights; None where shapes are unknown. What
            our fused operators multiply counts as float.
        ops: operator -> count on the optimized graph.
    """

    share: float | None
    ops: Mapping[str, int]


def coverage(float_model: ir.Model, quantized: ir.Model, portable: ir.Model | None = None) -> Coverage:
    """Optimize `quantized` as ONNX Runtime does on this machine and look at the result.

    `float_model` is what was quantized; `portable` the graph it was shaped from, where that is another: no operator is
    fused in it.

    A multiplication counts as 8-bit when its weight, by the name it was given in `quantized`, is read by an integer
    operator of the optimized graph.
    """
    cost = {node.outputs[0].name: macs([node]) for node in float_model.graph if _weighted(node)}
    total = max(sum(c or 0 for c in cost.values()), 0 if portable is None else macs(portable.graph) or 0)
    optimized = optimized_graph(quantized)
    integers = {v.name for n in optimized.graph if n.op_type in INTEGER_OPS for v in n.inputs if v is not None}
    covered = 0
    for node in quantized.graph:
        weight = node.inputs[1] if len(node.inputs) > 1 else None
        producer = None if weight is None else weight.producer()
        source = None if producer is None or producer.op_type != "DequantizeLinear" else producer.inputs[0]
        if source is not None and source.name in integers:
            covered += cost.get(node.outputs[0].name) or 0
    unknown = any(c is None for c in cost.values()) or total == 0
    return Coverage(share=None if unknown else covered / total, ops=Counter(n.op_type for n in optimized.graph))


def _weighted(node: ir.Node) -> bool:
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    return weight is not None and ir.convenience.get_const_tensor(weight) is not None


def optimized_graph(model: ir.Model) -> ir.Model:
    """The graph that ONNX Runtime, at its highest level of optimization, makes of `model` here."""
    import onnxruntime as ort

    from edgevision import native

    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    native.register(settings)
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        ir.save(model, before)
        settings.optimized_model_filepath = str(after)
        ort.InferenceSession(str(before), settings, providers=["CPUExecutionProvider"])
        optimized = ir.load(after)
        for value in optimized.graph.initializers.values():
            if value.const_value is not None:
                value.const_value.numpy()  # read before the folder goes
        return optimized
