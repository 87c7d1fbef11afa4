"""The proof a package carries on Linux: its saved bytes, evaluated, against the graph it was made of."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import GraphError
from edgevision.proof import Difference, difference, worst_difference
from edgevision.stages.steady import choose_steady, graph_decides
from edgevision.stages.verify import TOLERANCES
from edgevision.targets.coreml.image import Image, normalized
from edgevision.targets.coreml.names import mil_name, node_of
from edgevision.targets.coreml.static_shape import static_dims
from edgevision.targets.target import Precision, Proof, Runner

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevision.targets.coreml.evaluator import Evaluator

__all__ = ["feeds_for", "prove"]

Array = NDArray[Any]
_QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear"})


def feeds_for(model: ir.Model, seed: int, image: Image | None) -> tuple[dict[str, Array], dict[str, Array]]:
    """Random inputs twice: as the graph takes them and as the package does (pixels, where it takes an image)."""
    generator = np.random.default_rng(seed)
    graph_feeds, package_feeds = {}, {}
    for index, value in enumerate(model.graph.inputs):
        name, shape = value.name or "", static_dims(value)
        dtype = np.dtype(np.float32) if value.dtype is None else value.dtype.numpy()
        if image is not None and index == 0:
            pixels = generator.integers(0, 256, shape).astype(np.float32)
            graph_feeds[name], package_feeds[mil_name(name)] = normalized(image, pixels), pixels
            continue
        data = generator.standard_normal(shape) if dtype.kind == "f" else generator.integers(0, 2, shape)
        graph_feeds[name] = package_feeds[mil_name(name)] = data.astype(dtype)
    return graph_feeds, package_feeds


def prove(
    path: Path,
    model: ir.Model,
    precision: Precision,
    *,
    image: Image | None = None,
    exact: bool = True,
    samples: int = 2,
) -> Proof:
    """Evaluate the package at `path` on random inputs and compare with ONNX Runtime on `model`.

    Raises:
        GraphError: it differs by more than the precision allows; the first node that does is named.
    """
    import onnx_ir

    from edgevision.targets.coreml.evaluator import Evaluator
    from edgevision.targets.reference import Reference

    evaluator, worst = Evaluator(path), Difference(0.0, 0.0)
    with tempfile.TemporaryDirectory() as scratch:
        graph_path = Path(scratch) / "model.onnx"
        onnx_ir.save(model, graph_path)
        with Reference().load(graph_path) as runner:
            for seed in _seeds(runner, model, image, samples):
                graph_feeds, package_feeds = feeds_for(model, seed, image)
                error = _compare(runner(graph_feeds), evaluator(package_feeds), model)
                worst = max(worst, error, key=lambda e: e.max_abs_over_std)
                if exact and not error.max_abs_over_std <= TOLERANCES[precision] and not _quantized(model):
                    raise _diverges(error, precision, first_divergence(evaluator, model, graph_feeds, package_feeds))
    return Proof(
        what="the saved ML program, run by the reference evaluator (Core ML itself did not run)",
        against="ONNX Runtime on the portable graph",
        samples=samples,
        max_abs_over_std=worst.max_abs_over_std,
    )


def _seeds(runner: Runner, model: ir.Model, image: Image | None, samples: int) -> Sequence[int]:
    """Of random inputs, none on the edge of a decision where the graph decides; see `stages.steady`."""
    if not graph_decides(model):
        return range(samples)
    return choose_steady(runner, lambda _, seed: feeds_for(model, seed, image)[0], [1] * samples, seed=0).seeds


def _quantized(model: ir.Model) -> bool:
    return any(node.op_type in _QUANTIZED for node in model.graph)


def _compare(expected: Sequence[Array], got: Mapping[str, Any], model: ir.Model) -> Difference:
    results = []
    for value, reference in zip(model.graph.outputs, expected, strict=True):
        result = got.get(mil_name(value.name or ""))
        if result is None:  # a classifier's scores come as a dictionary under a name of Core ML's
            scores = next(v for v in got.values() if isinstance(v, dict))
            result = np.asarray(list(scores.values()), reference.dtype)
        results.append(result.reshape(reference.shape) if result.size == reference.size else result)
    return worst_difference(list(expected), results)


def _diverges(error: Difference, precision: Precision, node: str) -> GraphError:
    return GraphError(
        f"the ML program, first at {node}",
        f"it differs from the graph by {error.max_abs_over_std:.2e} of the output's std "
        f"(allowed {TOLERANCES[precision]:.0e} in {precision})",
        "try --precision fp32; if it stays so, report it with the graph",
    )


def first_divergence(
    evaluator: Evaluator, model: ir.Model, graph_feeds: Mapping[str, Array], package_feeds: Mapping[str, Array]
) -> str:
    """The first node, in the graph's order, whose value in the program is clearly not the graph's."""
    last: dict[str, Any] = {}

    def remember(operation: Any, results: Sequence[Any]) -> None:
        if len(results) == 1:
            last[node_of(operation.name)] = results[0]

    evaluator(package_feeds, watch=remember)
    for name, reference in _intermediates(model, graph_feeds):
        result = last.get(mil_name(name))
        if result is None or tuple(result.shape) != reference.shape:
            continue
        if difference(reference, result.numpy()).max_abs_over_std > TOLERANCES["fp16"]:
            return f"node {name!r}"
    return "an output"


def _intermediates(model: ir.Model, feeds: Mapping[str, Array]) -> list[tuple[str, Array]]:
    """Node name and first output of every node of the graph, by ONNX Runtime."""
    import onnx
    import onnx_ir
    import onnxruntime

    proto = onnx_ir.to_proto(model)
    nodes = [node for node in proto.graph.node if node.output[0] and node.name]
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.helper.make_empty_tensor_value_info(node.output[0]) for node in nodes)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(zip([node.name for node in nodes], session.run(None, dict(feeds)), strict=True))
