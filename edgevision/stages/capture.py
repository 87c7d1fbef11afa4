"""capture: `nn.Module` to an ONNX graph, through `torch.export` and the dynamo exporter.

The exporter's own optimizer stays off: it would merge norms into convolutions without a proof. What it leaves behind
(shape arithmetic on constants, identities) is folded here, where no weight changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgevision.errors import GraphError
from edgevision.hashing import model_sha256
from edgevision.manifest import Record
from edgevision.spec import Batch
from edgevision.stages.fixed_size import FixedSize
from edgevision.stages.foreign_graph import refuse_random
from edgevision.stages.load import Loaded
from edgevision.stages.prove import prove_against_module
from edgevision.stages.quiet_torch import quiet_torch
from edgevision.stages.samples import Samples
from edgevision.stages.timing import Stopwatch
from edgevision.stages.users_code import line_of_user, raised_by_user

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

__all__ = ["OPSET", "CaptureOptions", "capture"]

#: Lowest opset with Gelu and the reductions' axes as inputs, which every runtime we target reads.
OPSET = 20


@dataclass(frozen=True, kw_only=True)
class CaptureOptions:
    """How to capture: the batch (dynamic when it is a range) and the ONNX opset."""

    batch: Batch = field(default_factory=Batch)
    opset: int = OPSET


def capture(loaded: Loaded, options: CaptureOptions, samples: Samples) -> tuple[ir.Model, Record]:
    """Capture the model's inference graph; custom operators are single nodes with their bodies attached.

    Raises:
        GraphError: the model cannot be captured, and the line of the user's code where it stopped; or the graph does
            not compute the `samples`, and the first module at which it parts.
    """
    watch = Stopwatch("capture")
    with quiet_torch():
        program = _export(loaded, options)
        model = _to_onnx(program, loaded, options)
    refuse_random(model)
    _tidy(model, loaded)
    with watch.proving():
        error = prove_against_module(model, loaded, samples)
    return model, watch.record(inputs=[loaded.digest], outputs=[model_sha256(model)], error=error)


def _export(loaded: Loaded, options: CaptureOptions) -> torch.export.ExportedProgram:
    import torch

    # A dynamic dimension must not be exported from a batch of 0 or 1: torch specialises those.
    size = max(2, options.batch.best) if options.batch.dynamic else options.batch.best
    example = tuple(loaded.example(size, seed=0).values())
    shapes: tuple[Any, ...] | None = None
    if options.batch.dynamic:
        batch = torch.export.Dim("batch", min=options.batch.least, max=options.batch.most)
        shapes = tuple({0: batch} for _ in example)
    with FixedSize() as fixed:
        try:
            with torch.no_grad():
                return torch.export.export(loaded.module, example, dynamic_shapes=shapes, strict=False)
        except Exception as error:  # the user's forward may raise anything at all
            raise _capture_error(loaded, error, fixed) from error


def _capture_error(loaded: Loaded, error: Exception, fixed: FixedSize) -> GraphError:
    import torch

    if isinstance(error, torch._dynamo.exc.UserError) and fixed.value is not None:
        return GraphError(
            loaded.info.variant,
            f"it cannot be captured with an open batch: it fixes the batch to {fixed.value}{fixed.line}",
            "take the size from x.shape: len(x) and int(x.shape[0]) are plain numbers; or give --batch one number",
        )
    # By name: torch raises several errors of its own here, and none of them is public.
    by_value = any(word in type(error).__name__ for word in ("DataDependent", "UserError"))
    mend = "make the control flow depend on shapes, not on values" if by_value else "write it with torch's operators"
    return GraphError(
        loaded.info.variant, f"it cannot be captured: {raised_by_user(error)}", f"{mend}; see docs/errors.md"
    )


def _to_onnx(program: torch.export.ExportedProgram, loaded: Loaded, options: CaptureOptions) -> ir.Model:
    import torch

    from edgevision.ops.operator import operators

    known = [(op.torch_op, op.translate) for op in operators().values()]
    table = {_torch_overload(name): translate for name, translate in known if name and translate}
    try:
        exported = torch.onnx.export(
            program,
            dynamo=True,
            optimize=False,
            verbose=False,
            opset_version=options.opset,
            custom_translation_table=table,
            input_names=[i.name for i in loaded.inputs],
        )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = f"the ONNX exporter has no translation: {_untranslated(program, error)}"
        raise GraphError(loaded.info.variant, reason, "write it with other operators; see docs/errors.md") from error
    if exported is None:
        raise GraphError(loaded.info.variant, "the ONNX exporter returned nothing", "upgrade torch")
    return exported.model


def _untranslated(program: torch.export.ExportedProgram, error: BaseException) -> str:
    """The operator that has none and the user's line that calls it, or what the exporter says of itself."""
    said = str(error)
    found = re.search(r"translating node %(?P<node>\w+) : .*?target=(?P<operator>[\w.]+)\]", said)
    if found is None:
        return next((line for line in said.splitlines() if line.strip()), type(error).__name__)
    # The exporter decomposes first: the operator may have come out of another, whose name holds its own.
    stem = found["operator"].split(".")[-2].strip("_")
    callers = [n for n in program.graph.nodes if n.name == found["node"] or stem in n.name]
    return found["operator"] + (line_of_user(callers[0].meta.get("stack_trace") or "") if callers else "")


def _torch_overload(qualified: str) -> Any:
    import torch

    namespace, name = qualified.split("::")
    return getattr(getattr(torch.ops, namespace), name).default


def _tidy(model: ir.Model, loaded: Loaded) -> None:
    """Name inputs and outputs, drop source paths from the metadata, fold what is constant, drop what is unused."""
    from edgevision.passes.attach_bodies import attach_bodies
    from edgevision.passes.tidy import tidy

    for node in model.graph.all_nodes():
        scopes = node.metadata_props.get("pkg.torch.onnx.name_scopes")
        node.metadata_props.clear()
        if scopes:
            node.metadata_props["edgevision.module"] = scopes
    for value in (*model.graph.inputs, *model.graph.outputs):
        value.metadata_props.clear()
    outputs = model.graph.outputs
    classifier = (loaded.info.preprocess or {}).get("task") == "classification"
    for index, value in enumerate(outputs):
        value.name = ("logits" if classifier else "output") if len(outputs) == 1 else f"output_{index}"
    _name_batch(model)
    model.metadata_props.clear()
    model.doc_string = None
    model.producer_name = "edgevision"
    tidy(model)
    attach_bodies(model)


def _name_batch(model: ir.Model) -> None:
    """Call the one symbolic dimension `batch` wherever torch gave it a number of its own."""
    import onnx_ir

    values = [*model.graph.inputs, *(v for node in model.graph.all_nodes() for v in node.outputs)]
    for value in values:
        if value.shape is not None and any(not isinstance(d, int) for d in value.shape):
            value.shape = onnx_ir.Shape([d if isinstance(d, int) else _batch_dim(d) for d in value.shape])


def _batch_dim(dim: ir.SymbolicDim) -> str | None:
    # An expression (batch*4, say) is not the batch; leave such a dimension unnamed. Sizes that depend on values (how many
    # tokens go to an expert) have names of their own, u0 and so on.
    if dim.value is None or not dim.value.isidentifier():
        return None
    return dim.value if re.fullmatch(r"u\d+", dim.value) else "batch"
