"""Small graphs written as text, and what two graphs have in common: their results in ONNX Runtime, unoptimized."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray

from edgevision.passes.attach_bodies import attach_bodies
from edgevision.proof import difference

__all__ = ["distance", "graph", "op_types", "proven"]

Array = NDArray[np.float32]


def graph(text: str, weights: Mapping[str, tuple[int, ...]] | None = None) -> ir.Model:
    """The graph of `text` (`name (inputs) => (outputs) { nodes }`), random float weights added under their names."""
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20, "edgevision" : 1]>\n{text}')
    rng = np.random.default_rng(0)
    for name, shape in (weights or {}).items():
        array = rng.standard_normal(shape).astype(np.float32) / max(1.0, np.prod(shape[1:]) ** 0.5)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array.astype(np.float32), name))
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    return ir.from_proto(inferred)


def op_types(model: ir.Model) -> Counter[str]:
    """How many nodes of each type."""
    return Counter(node.op_type for node in model.graph if node.op_type != "Constant")


def distance(before: ir.Model, after: ir.Model) -> float:
    """Of the results on one random input, in units of the first's standard deviation."""
    expected, got = _run(before), _run(after)
    assert all(array.std() > 0 for array in expected)
    return max(difference(a, b).max_abs_over_std for a, b in zip(expected, got, strict=True))


def _run(model: ir.Model) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    rng = np.random.default_rng(1)
    feeds = {i.name: rng.standard_normal(i.shape).astype(np.float32) for i in session.get_inputs()}
    results: list[Array] = session.run(None, feeds)
    return results


def proven(before: ir.Model, after: ir.Model) -> bool:
    """Both through the bodies of their operators."""
    for model in (before, after):
        attach_bodies(model)
    return distance(before, after) <= 1e-5
