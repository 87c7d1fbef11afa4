"""The proof of one rewrite: the old nodes and the new ones, run side by side on random input.

In float64, on the weights before they are rounded, the two may differ by 1e-9 of the output's standard deviation; after
rounding, the new nodes in the graph's own precision may differ from the float64 result of the old by 1e-5. The oracle
is the standard's own reference evaluator, with Conv written from its definition because the evaluator's is slow.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from edgevision.proof import difference
from edgevision.reparam.matching import constant_array, is_constant
from edgevision.reparam.rewrite import Rewrite, Step, Weights

__all__ = ["FLOAT32_BOUND", "FLOAT64_BOUND", "Proof", "prove"]

FLOAT64_BOUND = 1e-9
FLOAT32_BOUND = 1e-5
Array = NDArray[np.generic]


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Distances measured for one rewrite, in max_abs_over_std."""

    float64: float
    float32: float

    @property
    def objection(self) -> str:
        """Why the rewrite must be undone; empty when it stands."""
        if not self.float64 <= FLOAT64_BOUND:
            return f"the proof failed: float64 results differ by {self.float64:.1e} of std (bound {FLOAT64_BOUND:.0e})"
        if not self.float32 <= FLOAT32_BOUND:
            return f"the merged weights, rounded, are off by {self.float32:.1e} of std (bound {FLOAT32_BOUND:.0e})"
        return ""


def prove(rewrite: Rewrite, opset: int, seed: int = 0) -> Proof:
    """Run the old and the new nodes of `rewrite` on the same random inputs."""
    rng = np.random.default_rng(seed)
    feeds = {value: rng.standard_normal(shape, np.float32) for value, shape in rewrite.probes.items()}
    expected = _run_old(rewrite, feeds, opset)
    exact = _run_new(rewrite, feeds, opset, rounded=False)
    rounded = _run_new(rewrite, feeds, opset, rounded=True)
    return Proof(
        float64=difference(expected, exact).max_abs_over_std, float32=difference(expected, rounded).max_abs_over_std
    )


def _run_old(rewrite: Rewrite, feeds: Mapping[ir.Value, Array], opset: int) -> Array:
    arrays = {_name(value): _widen(array) for value, array in feeds.items()}
    for node in rewrite.old:
        for value in node.inputs:
            if value is not None and is_constant(value):
                arrays[_name(value)] = _widen(constant_array(value))
    return _evaluate([ir.serde.serialize_node(node) for node in rewrite.old], arrays, _name(rewrite.output), opset)


def _run_new(rewrite: Rewrite, feeds: Mapping[ir.Value, Array], opset: int, *, rounded: bool) -> Array:
    arrays: dict[str, Array] = {}
    nodes: list[onnx.NodeProto] = []

    def operand(source: ir.Value | Weights | Step) -> str:
        if isinstance(source, Step):
            return f"step_{id(source)}"
        if isinstance(source, Weights):
            arrays[f"weights_{id(source)}"] = source.rounded() if rounded else source.array
            return f"weights_{id(source)}"
        if source in feeds:
            arrays[_name(source)] = feeds[source] if rounded else _widen(feeds[source])
        else:
            arrays[_name(source)] = constant_array(source) if rounded else _widen(constant_array(source))
        return _name(source)

    for step in rewrite.new.steps():
        inputs = [operand(source) for source in step.inputs]
        nodes.append(onnx.helper.make_node(step.op_type, inputs, [operand(step)], **step.attributes))
    return _evaluate(nodes, arrays, operand(rewrite.new), opset)


def _name(value: ir.Value) -> str:
    return value.name or f"value_{id(value)}"


def _widen(array: Array) -> Array:
    return array.astype(np.float64) if np.issubdtype(array.dtype, np.floating) else array


def _evaluate(nodes: Sequence[onnx.NodeProto], arrays: Mapping[str, Array], output: str, opset: int) -> Array:
    inputs = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, None) for name in arrays]
    outputs = [onnx.helper.make_tensor_value_info(output, onnx.TensorProto.DOUBLE, None)]
    graph = onnx.helper.make_graph(list(nodes), "local", inputs, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    result: Array = ReferenceEvaluator(model, new_ops=[Conv]).run(None, dict(arrays))[0]
    return result


class Conv(OpRun):  # type: ignore[misc]  # onnx is untyped
    """y[n, o, p] = bias[o] + sum over taps t and channels i of w[o, i, t] * x[n, i, stride * p - pad + dilation * t]."""

    op_domain = ""

    def _run(self, x: Array, w: Array, b: Array | None = None, **attributes: Any) -> tuple[Array]:
        rank, taps = w.ndim - 2, w.shape[2:]
        strides = attributes.get("strides") or (1,) * rank
        dilations = attributes.get("dilations") or (1,) * rank
        groups = attributes.get("group") or 1
        pads = _explicit_pads(x.shape[2:], taps, strides, dilations, attributes)
        x = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
        sizes = [
            (n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], taps, strides, dilations, strict=True)
        ]
        kernel = np.moveaxis(w.reshape(groups, -1, w.shape[1], math.prod(taps)), 3, 0)
        y = np.zeros((x.shape[0], groups, kernel.shape[2], math.prod(sizes)), x.dtype)
        for tap, offset in enumerate(itertools.product(*(range(k) for k in taps))):
            window = tuple(
                slice(o * d, o * d + s * (n - 1) + 1, s)
                for o, d, s, n in zip(offset, dilations, strides, sizes, strict=True)
            )
            seen = x[(..., *window)].reshape(x.shape[0], groups, w.shape[1], -1)
            part = np.ascontiguousarray(kernel[tap])
            y += part * seen if part.shape[1:] == (1, 1) else part @ seen
        y = y.reshape(x.shape[0], w.shape[0], *sizes)
        return (y if b is None else y + b.reshape(-1, *(1,) * rank),)


def _explicit_pads(
    sizes: Sequence[int],
    taps: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    attributes: dict[str, Any],
) -> list[int]:
    auto = attributes.get("auto_pad") or "NOTSET"
    if not auto.startswith("SAME"):
        return list(attributes.get("pads") or [0] * (2 * len(taps)))
    totals = [
        max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        for n, k, s, d in zip(sizes, taps, strides, dilations, strict=True)
    ]
    small = [total // 2 for total in totals]
    large = [total - total // 2 for total in totals]
    return small + large if auto == "SAME_UPPER" else large + small
