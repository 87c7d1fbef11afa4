"""Merging on its own: a model or graph to its deploy form, as a checkpoint or an ONNX file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.errors import UsageError
from edgevision.manifest import ModelInfo, Record, as_json
from edgevision.spec import Batch, ModelSpec, OnnxFile, ZooModel, parse_model
from edgevision.stages.timing import Report, unreported
from edgevision.whole_file import whole_file

if TYPE_CHECKING:
    from edgevision.reparam.int8_risk import RiskyWeight
    from edgevision.stages.graph import DeployGraph
    from edgevision.stages.load import Loaded
    from edgevision.stages.samples import Samples

__all__ = ["MergeOptions", "Merged", "MergedGraph", "merge_model", "merged_graph"]


@dataclass(frozen=True, kw_only=True)
class MergeOptions:
    """What to merge, and where to: a `.pth` (deploy-form state dict) or a `.onnx`; None keeps nothing."""

    model: str
    weights: Path | None = None
    weights_key: str | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)
    input_size: tuple[int, int] | None = None
    batch: Batch = field(default_factory=Batch)
    seed: int = 0
    samples: int = 2
    out: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Merged:
    """The rows of what was merged and what was declined, the records of the stages, and where INT8 would lose weights."""

    name: str
    records: Sequence[Record]
    reparam: Mapping[str, Any]
    int8_risk: Sequence[RiskyWeight]
    warnings: Sequence[str]
    out: Path | None

    def as_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "model": self.name,
            "stages": as_json(self.records),
            "out": None if self.out is None else str(self.out),
            **self.reparam,
            "int8_risk": as_json(self.int8_risk),
        }


def merge_model(options: MergeOptions, *, report: Report = unreported) -> Merged:
    """Load, capture and merge; the result is written whole or not at all.

    Raises:
        EdgeError: of the stage that failed; UsageError for an `out` that is neither `.pth` nor `.onnx`.
    """
    suffix = options.out.suffix if options.out else ""
    if options.out and suffix not in (".pth", ".onnx"):
        raise UsageError(f"--out {options.out}", "its ending says neither checkpoint nor graph", "use .pth or .onnx")
    spec = parse_model(options.model)
    if suffix == ".pth" and not isinstance(spec, ZooModel):
        raise UsageError(
            f"--out {options.out}", "deploy-form keys are known for models of the zoo only", "use .onnx for this model"
        )
    found = merged_graph(spec, options, report, keep_unknown=True)
    if options.out:
        report("write")
        _write(options.out, spec, options, found)
    from edgevision.reparam.int8_risk import risky_weights

    return Merged(
        name=found.info.variant,
        records=(*found.records, *found.graph.records),
        reparam=found.graph.reparam,
        int8_risk=risky_weights(found.graph.model),
        warnings=found.warnings,
        out=options.out,
    )


@dataclass(frozen=True, kw_only=True)
class MergedGraph:
    """A deploy graph with what it came from and the inputs it was proven on."""

    info: ModelInfo
    graph: DeployGraph
    samples: Samples
    records: Sequence[Record]
    warnings: Sequence[str]


def merged_graph(
    spec: ModelSpec,
    options: MergeOptions,
    report: Report,
    *,
    keep_unknown: bool = False,
    change: Callable[[Loaded], Loaded] | None = None,
) -> MergedGraph:
    """Load, capture and merge; `out` is not looked at.

    Args:
        spec: what to load.
        options: see there.
        report: told each stage.
        keep_unknown: see `read_onnx`.
        change: what to make of a PyTorch model before it is captured.
    """
    from edgevision.cache import default_cache
    from edgevision.stages.capture import CaptureOptions
    from edgevision.stages.graph import deploy_graph
    from edgevision.stages.load import LoadOptions, load
    from edgevision.stages.read_onnx import read_onnx
    from edgevision.stages.samples import samples_of_module

    batches = options.batch.samples(options.samples)
    if isinstance(spec, OnnxFile):
        report("read")
        read = read_onnx(
            spec.path,
            options.batch,
            options.input_size,
            batches,
            options.seed,
            keep_unknown=keep_unknown,
            report=report,
        )
        return MergedGraph(info=read.info, graph=read.graph, samples=read.samples, records=(), warnings=read.warnings)
    report("load")
    settings = LoadOptions(
        weights=options.weights,
        weights_key=options.weights_key,
        model_args=options.model_args,
        input_size=options.input_size,
        seed=options.seed,
        batch=max(batches),
    )
    loaded, record = load(spec, settings)
    loaded = change(loaded) if change else loaded
    report("samples")
    samples = samples_of_module(loaded, batches, options.seed)
    graph = deploy_graph(loaded, CaptureOptions(batch=options.batch), samples, default_cache(), report)
    return MergedGraph(info=loaded.info, graph=graph, samples=samples, records=(record,), warnings=loaded.warnings)


def _write(out: Path, spec: Any, options: MergeOptions, found: MergedGraph) -> None:
    model = found.graph.model
    if out.suffix == ".onnx":
        from edgevision.stages.graph_notes import save_graph

        save_graph(model, out, found.info)
    else:
        with whole_file(out) as staging:
            import torch

            from edgevision.reparam.deploy_keys import deploy_state

            # Through a stream, so that a full disk is an OSError and not an error of torch's own archive writer.
            with staging.open("wb") as stream:
                torch.save(deploy_state(spec.name, model, options.model_args), stream)
