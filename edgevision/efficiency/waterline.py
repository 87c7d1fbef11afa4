"""Waterline analysis: the roofline of every kernel in a sequence, and what the sequence as a whole can attain.

With P the device's peak (operations a second, in the kernel's precision) and W = P / bandwidth its waterline (operations
a byte), a kernel of `ops` operations and `bytes` bytes has the intensity I = ops / bytes and takes at least

    t >= max(ops / P, bytes / bandwidth) = (ops / P) max(1, W / I)

It is under water when I < W: memory, not arithmetic, bounds it. Over a sequence the attainable efficiency is
sum(ops / P) / sum(t). Computational efficiency is measured: E = sum(ops / P) / latency, and the efficiency gap between
the ideal and the measured latency is a factor 1 / E. Fusing blocks only changes the bytes (see blocks.py).
(Lavin 2024, "On the Efficiency of Convolutional Neural Networks", arXiv 2404.03617.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from edgevision.efficiency.blocks import blocks_of
from edgevision.efficiency.peaks import Peaks
from edgevision.efficiency.work import Kernel, kernels_of

__all__ = ["efficiency_of"]

#: Op types that ONNX Runtime's trace names otherwise than the graph.
_TRACED_AS = {
    "FusedConv": "Conv",
    "QLinearConv": "Conv",
    "FusedMatMul": "MatMul",
    "QLinearMatMul": "MatMul",
    "QGemm": "Gemm",
}


@dataclass(frozen=True, kw_only=True)
class _Bound:
    """A kernel or a fused block against the device: milliseconds, and operations a byte."""

    ideal_ms: float
    bytes: int
    ops: int
    attainable_ms: float

    @property
    def under_water(self) -> bool:
        return self.attainable_ms > self.ideal_ms


def efficiency_of(
    model: ir.Model, peaks: Peaks, latency_ms: float, per_op: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The analysis of a graph on a device, as `profile --json` has it under `efficiency`.

    Args:
        model: with static shapes.
        latency_ms: measured median of the whole.
        per_op: measured time per op type, as the profile has it.

    Raises:
        GraphError: a tensor's shape is unknown.
    """
    kernels = kernels_of(model)
    unfused = [_bound([k], k.bytes, peaks) for k in kernels]
    blocks = blocks_of(model, kernels)
    fused = [_bound(b.kernels, min(b.bytes, sum(k.bytes for k in b.kernels)), peaks) for b in blocks]
    ideal = sum(bound.ideal_ms for bound in unfused)
    return {
        "peaks": peaks.document(),
        "macs": sum(k.macs for k in kernels),
        "ideal_ms": ideal,
        "computational_efficiency": ideal / latency_ms,
        "unfused": _sequence(unfused, ideal, [k.name for k in kernels], [k.op for k in kernels]),
        "block_fused": _sequence(fused, ideal, [b.kernels[0].name for b in blocks], [_ops(b.kernels) for b in blocks]),
        "per_op": _per_op(kernels, unfused, per_op),
    }


def _bound(kernels: Sequence[Kernel], moved: int, peaks: Peaks) -> _Bound:
    ideal = sum(k.ops / peaks.ops_per_ms(k.precision) for k in kernels)
    return _Bound(
        ideal_ms=ideal,
        bytes=moved,
        ops=sum(k.ops for k in kernels),
        attainable_ms=max(ideal, moved / peaks.bytes_per_ms),
    )


def _sequence(bounds: Sequence[_Bound], ideal: float, names: Sequence[str], ops: Sequence[str]) -> dict[str, Any]:
    attainable = sum(b.attainable_ms for b in bounds)
    rows = [
        {"name": name, "op": op, "ops": b.ops, "bytes": b.bytes, "under_water": b.under_water, "ms": b.attainable_ms}
        for name, op, b in zip(names, ops, bounds, strict=True)
    ]
    return {
        "bytes": sum(b.bytes for b in bounds),
        "attainable_ms": attainable,
        "attainable_efficiency": ideal / attainable,
        "under_water": sum(b.under_water for b in bounds),
        "kernels": rows,
    }


def _ops(kernels: Sequence[Kernel]) -> str:
    """A block in words: its heaviest op types."""
    weights: dict[str, int] = defaultdict(int)
    for kernel in kernels:
        weights[kernel.op] += kernel.macs
    heavy = sorted((op for op in weights if weights[op]), key=lambda op: -weights[op])
    return ", ".join(heavy[:3] or list(weights)[:3])


def _per_op(
    kernels: Sequence[Kernel], bounds: Sequence[_Bound], measured: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each op type's work, bounds and, where the trace names it, its measured time and efficiency."""
    times: dict[str, float] = defaultdict(float)
    for row in measured:
        times[_TRACED_AS.get(row["op"], row["op"])] += row["ms"]
    groups: dict[str, list[tuple[Kernel, _Bound]]] = defaultdict(list)
    for pair in zip(kernels, bounds, strict=True):
        groups[pair[0].op].append(pair)
    rows = []
    for op, group in groups.items():
        ideal, attainable = sum(b.ideal_ms for _, b in group), sum(b.attainable_ms for _, b in group)
        took = times.get(op)
        rows.append(
            {
                "op": op,
                "count": len(group),
                "under_water": sum(b.under_water for _, b in group),
                "macs": sum(k.macs for k, _ in group),
                "bytes": sum(k.bytes for k, _ in group),
                "ideal_ms": ideal,
                "attainable_ms": attainable,
                "ms": took,
                "computational_efficiency": ideal / took if took and ideal else None,
            }
        )
    return sorted(rows, key=lambda row: -float(str(row["attainable_ms"])))
