"""The proof of one rewrite: the old nodes and the new ones, run side by side on random input.

In float64, on the weights before they are rounded, the two may differ by 1e-9 of the output's standard deviation; after
rounding, the new nodes in the graph's own precision may differ from the float64 result of the old by 1e-5. The oracle
is the standard's own reference evaluator, with the operators of `convolution_by_definition` and `norm_by_definition`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from edgevision.proof import difference
from edgevision.reparam.convolution_by_definition import Conv, ConvTranspose
from edgevision.reparam.matching import Decline, constant_array, is_constant
from edgevision.reparam.norm_by_definition import BatchNormalization
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
    """Run the old and the new nodes of `rewrite` on the same random inputs.

    Raises:
        Decline: the old nodes cannot be run on their own.
    """
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
    nodes = (*rewrite.kept, *rewrite.old)
    for node in nodes:
        for value in node.inputs:
            if value is not None and is_constant(value):
                arrays[_name(value)] = _widen(constant_array(value))
    return _evaluate([ir.serde.serialize_node(node) for node in nodes], arrays, _name(rewrite.output), opset)


def _run_new(rewrite: Rewrite, feeds: Mapping[ir.Value, Array], opset: int, *, rounded: bool) -> Array:
    arrays: dict[str, Array] = {}
    weights = (operand for step in rewrite.new.steps() for operand in step.inputs if isinstance(operand, Weights))
    floats = (constant.dtype for constant in weights if np.issubdtype(constant.dtype, np.floating))
    precision = next(floats, np.dtype(np.float32))
    nodes: list[onnx.NodeProto] = []

    def operand(source: ir.Value | Weights | Step) -> str:
        if isinstance(source, Step):
            return f"step_{id(source)}"
        if isinstance(source, Weights):
            arrays[f"weights_{id(source)}"] = source.rounded() if rounded else source.array
            return f"weights_{id(source)}"
        if source in feeds:
            arrays[_name(source)] = feeds[source].astype(precision if rounded else np.float64)
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
    try:
        result: Array = ReferenceEvaluator(model, new_ops=[BatchNormalization, Conv, ConvTranspose]).run(
            None, dict(arrays)
        )[0]
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise Decline(f"its proof could not be run: {error}") from error
    return result
