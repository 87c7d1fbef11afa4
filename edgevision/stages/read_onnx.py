"""read: an ONNX file that somebody has exported enters the path half-way, as the graph and as its own reference."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevision.errors import GraphError, TargetError, UsageError
from edgevision.hashing import file_sha256
from edgevision.manifest import ModelInfo
from edgevision.ops.operator import DOMAIN
from edgevision.ops.recorder import OPSET
from edgevision.passes.dense_shifts import SHIFTS, coded_weights
from edgevision.passes.fixed_initializers import fix_initializers
from edgevision.spec import Batch
from edgevision.stages.foreign_graph import refuse_nan, refuse_random, refuse_training_mode, unknown_operators
from edgevision.stages.graph import DeployGraph, merge
from edgevision.stages.graph_notes import noted_preprocess
from edgevision.stages.prove import TOLERANCE, Original, prove_against_graph
from edgevision.stages.samples import Array, Samples, opened_graph, run_graph, samples_of_graph, worst_over
from edgevision.stages.steady import choose_steady, graph_decides
from edgevision.stages.timing import Report, Stopwatch, unreported

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Read", "read_onnx"]


@dataclass(frozen=True, kw_only=True)
class Read:
    """A graph from a file, with what the pipeline needs beside it."""

    info: ModelInfo
    graph: DeployGraph
    samples: Samples
    warnings: tuple[str, ...] = ()


def read_onnx(
    path: Path,
    batch: Batch,
    size: tuple[int, int] | None,
    batches: Sequence[int],
    seed: int,
    *,
    merged: bool = True,
    keep_unknown: bool = False,
    report: Report = unreported,
) -> Read:
    """Check, read, give its open dimensions sizes, and merge (unless `merged` is False).

    With `keep_unknown`, a graph with operators that nobody here knows is merged around them: each merge is proven on its
    own; the whole cannot be run, so there are no samples, and a warning says so.

    Raises:
        GraphError: not ONNX, damaged, with missing external data, in training mode, with unknown operators.
        ModelError: NaN in its weights, or in what it computes.
        UsageError: an open dimension that no option gives a size to.
    """
    watch = Stopwatch("read")
    model = _load(path)
    preprocess = noted_preprocess(model, path.name)
    unknown = _unknown(model, path, keep=keep_unknown)
    _give_sizes(model, batch, size)
    feeds = [] if unknown else [_feed(model, n, seed + i) for i, n in enumerate(batches)]
    reference = f"{path.name} in ONNX Runtime, unoptimized"
    samples = _samples(path, model, feeds, reference)
    if feeds and graph_decides(model):
        samples = _steady(model, batches, seed, reference)
    notes = _inlined(model, samples) if merged else []
    given = model.opset_imports.get("", OPSET)
    model = _modern(model, samples)
    notes += [f"opset {given} > {OPSET}"] if given < model.opset_imports.get("", OPSET) else []
    digest = file_sha256(path)
    record = watch.record(inputs=[digest], outputs=[digest], notes=notes)
    graph = (
        merge(model, samples, [record], report) if merged else DeployGraph(model=model, records=(record,), reparam={})
    )
    info = ModelInfo(
        name=path.stem,
        variant=path.stem,
        params=_parameters(graph.model),
        input_shape=tuple(d if isinstance(d, int) else "batch" for d in model.graph.inputs[0].shape or ()),
        weights={"source": path.name, "key": None, "sha256": digest},
        preprocess=preprocess,
    )
    return Read(info=info, graph=graph, samples=samples, warnings=(*unknown, *([samples.note] if samples.note else [])))


def _samples(path: Path, model: ir.Model, feeds: Sequence[Mapping[str, Array]], reference: str) -> Samples:
    """What the file computes; one that ONNX Runtime does not run has nothing to be held against."""
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        try:
            return samples_of_graph(model, feeds, Path(folder), reference)
        except TargetError as error:
            raise GraphError(
                str(path), error.reason, "export it in operators and an opset that ONNX defines"
            ) from error


def _steady(model: ir.Model, batches: Sequence[int], seed: int, reference: str) -> Samples:
    """Samples at which a graph that decides does not lie on an edge; see `steady`."""
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder, opened_graph(model, Path(folder)) as runner:
        chosen = choose_steady(runner, lambda batch, number: _feed(model, batch, number), batches, seed)
    return Samples(feeds=chosen.feeds, outputs=chosen.outputs, reference=reference, note=chosen.note)


def _inlined(model: ir.Model, samples: Samples) -> list[str]:
    """Inline the file's functions, in place, and hold the result against the file; what is to be noted of it."""
    if all(domain == DOMAIN for domain, _, _ in model.functions):
        return []
    from edgevision.passes.inline_functions import inline_functions

    before = Original(model.clone(), samples.feeds, samples.outputs)
    result = inline_functions(model)
    if result.modified:
        prove_against_graph(before, model, "read")
    left = "".join(f", {row.where[0]} is left: {row.reason}" for row in result.declined)
    return [f"{len(result.applied)} calls of the file's functions inlined{left}"]


def _modern(model: ir.Model, samples: Samples) -> ir.Model:
    """The graph at our opset where that computes the same, else as it is: it may well go all the way."""
    if model.opset_imports.get("", OPSET) >= OPSET or not samples.feeds:
        return model
    from edgevision.passes.raise_opset import raised

    converted = raised(model, OPSET)
    if converted is None:
        return model
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        try:
            error = worst_over(samples.outputs, run_graph(converted, samples.feeds, Path(folder)))
        except TargetError:
            return model
    return converted if error.max_abs_over_std <= TOLERANCE else model


def _load(path: Path) -> ir.Model:
    import onnx
    import onnx_ir
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        onnx.checker.check_model(str(path))
        model = onnx_ir.external_data.load_to_model(onnx_ir.load(path))  # it goes where its data file is not
        refuse_nan(model, path.name)
    except (DecodeError, onnx.checker.ValidationError, FileNotFoundError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        shapeless = "Field 'shape' of 'type' is required" in reason
        mend = "let onnx.shape_inference.infer_shapes give its outputs shapes" if shapeless else "export it again"
        raise GraphError(str(path), f"it is not a valid ONNX model ({reason})", mend) from error
    if not model.graph.outputs or not model.graph.inputs:
        raise GraphError(str(path), "its graph has no inputs or no outputs", "export it again")
    refuse_training_mode(model)
    refuse_random(model)
    fix_initializers(model)
    return model


def _unknown(model: ir.Model, path: Path, *, keep: bool) -> tuple[str, ...]:
    """What is to be said of operators that nobody here knows; GraphError unless they may be kept."""
    names = ", ".join(unknown_operators(model))
    if not names:
        return ()
    if not keep:
        mend = "put their bodies into the file as functions; `edgevision reparam` merges around them as they are"
        raise GraphError(str(path), f"nobody here knows its operators {names}", mend)
    return (
        f"operators that nobody here knows were kept as they are: {names}; the graph cannot be run, "
        "so each merge is proven on its own and the whole is not",
    )


def _give_sizes(model: ir.Model, batch: Batch, size: tuple[int, int] | None) -> None:
    """Fix every open dimension of the inputs, the batch unless it is a range."""
    import onnx_ir

    changed = False
    for value in _real_inputs(model):
        if value.shape is None:
            raise GraphError(str(value.name), "this input has no shape at all", "export the model with input shapes")
        dims: list[int | str] = []
        for axis, dim in enumerate(value.shape):
            if isinstance(dim, int) and dim > 0:  # some exporters write an open dimension as -1 or 0
                _check_fixed(str(value.name), axis, dim, batch, size)
                dims.append(dim)
            elif axis == 0:
                dims.append("batch" if batch.dynamic else batch.best)
            elif size is not None and axis in (2, 3):
                dims.append(size[axis - 2])
            else:
                mend = "give --input-size HxW" if axis in (2, 3) else "export the model with this dimension fixed"
                raise UsageError(f"input {value.name}", f"its dimension {axis} ({dim}) has no size", mend)
        changed = changed or list(value.shape) != dims
        value.shape = onnx_ir.Shape(dims)
    if changed:
        _infer_again(model)


def _check_fixed(name: str, axis: int, dim: int, batch: Batch, size: tuple[int, int] | None) -> None:
    """A dimension that the file fixes cannot be given another size."""
    asked = size[axis - 2] if size is not None and axis in (2, 3) else dim
    if asked != dim:
        raise UsageError(
            f"--input-size {asked}", f"dimension {axis} of {name} is fixed at {dim} in the file", "leave it out"
        )
    if axis == 0 and batch != Batch() and (batch.dynamic or batch.best != dim):
        wanted = f"{batch.least}:{batch.best}:{batch.most}" if batch.dynamic else str(batch.best)
        raise UsageError(f"--batch {wanted}", f"{name} has a fixed batch of {dim} in the file", "leave it out")


def _infer_again(model: ir.Model) -> None:
    """Shapes inside the graph follow the inputs' new ones."""
    from onnx_ir.passes.common import ShapeInferencePass

    for node in model.graph.all_nodes():
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = None
    for value in model.graph.outputs:
        if value.shape is not None:
            value.shape = type(value.shape)([d if isinstance(d, int) else None for d in value.shape])
    ShapeInferencePass()(model)


def _real_inputs(model: ir.Model) -> list[ir.Value]:
    return [v for v in model.graph.inputs if v.name not in model.graph.initializers]


def _feed(model: ir.Model, batch: int, seed: int) -> Mapping[str, Array]:
    generator = np.random.default_rng(seed)
    feed: dict[str, Array] = {}
    for value in _real_inputs(model):
        if value.dtype is None or value.shape is None or value.name is None:
            raise GraphError(str(value.name), "this input has no type", "export the model with typed inputs")
        dims = [d if isinstance(d, int) else batch for d in value.shape]
        kind = value.dtype.numpy()
        random = generator.standard_normal(dims)
        feed[value.name] = random.astype(kind) if kind.kind == "f" else np.zeros(dims, kind)
    return feed


def _parameters(model: ir.Model) -> int:
    """Float elements of the weights, which some exporters write as Constant nodes, and weights that are packed codes."""
    tensors = [v.const_value for v in model.graph.initializers.values() if v.const_value is not None]
    tensors += [
        node.attributes["value"].as_tensor()
        for node in model.graph
        if "value" in node.attributes and node.op_type == "Constant"
    ]
    codes = {id(n.inputs[1]): coded_weights(n) for n in model.graph if n.op_type in SHIFTS and n.domain == DOMAIN}
    return sum(t.size for t in tensors if t.dtype.is_floating_point()) + sum(codes.values())
