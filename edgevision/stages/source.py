"""source: from what the user named, a PyTorch model or an ONNX file, to its merged graph and the inputs it is held to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgevision.cache import Cache
from edgevision.errors import UsageError
from edgevision.manifest import ModelInfo, Record
from edgevision.spec import Batch, OnnxFile, parse_model
from edgevision.stages.load import Loaded, LoadOptions
from edgevision.stages.timing import Report

if TYPE_CHECKING:
    from edgevision.stages.graph import DeployGraph
    from edgevision.stages.samples import Samples

__all__ = ["Source", "SourceOptions", "open_source"]


@dataclass(frozen=True, kw_only=True)
class SourceOptions(LoadOptions):
    """What every command that starts from a MODEL can be told of it.

    Attributes:
        model: MODEL as typed.
        batch: fixed, or a range.
        samples: random inputs that the graph is proven on.
    """

    model: str
    batch: Batch = field(default_factory=Batch)
    samples: int = 2


@dataclass(frozen=True, kw_only=True)
class Source:
    """A graph, what it came from, and the inputs it was proven on."""

    info: ModelInfo
    graph: DeployGraph
    samples: Samples
    records: Sequence[Record]
    warnings: Sequence[str]


def open_source(
    options: SourceOptions,
    cache: Cache,
    report: Report,
    *,
    merged: bool = True,
    keep_unknown: bool = False,
    change: Callable[[Loaded], Loaded] | None = None,
) -> Source:
    """Load, capture and merge.

    Args:
        options: see there.
        cache: where captured graphs are kept.
        report: told each stage.
        merged, keep_unknown: of an ONNX file; see `read_onnx`.
        change: what to make of a PyTorch model before it is captured.

    Raises:
        EdgeError: of the stage that failed; UsageError for options that an ONNX file cannot take.
    """
    spec = parse_model(options.model)
    batches = options.batch.samples(options.samples)
    if isinstance(spec, OnnxFile):
        from edgevision.stages.read_onnx import read_onnx

        _refuse_weights(options)
        report("read")
        read = read_onnx(
            spec.path,
            options.batch,
            options.input_size,
            batches,
            options.seed,
            merged=merged,
            keep_unknown=keep_unknown,
            report=report,
        )
        return Source(info=read.info, graph=read.graph, samples=read.samples, records=(), warnings=read.warnings)
    from edgevision.stages.capture import CaptureOptions
    from edgevision.stages.graph import deploy_graph
    from edgevision.stages.load import load
    from edgevision.stages.samples import samples_of_module

    report("load")
    loaded, record = load(spec, options, max(batches))
    loaded = change(loaded) if change else loaded
    report("samples")
    samples = samples_of_module(loaded, batches, options.seed)
    graph = deploy_graph(loaded, CaptureOptions(batch=options.batch), samples, cache, report)
    warnings = (*loaded.warnings, *([samples.note] if samples.note else []))
    return Source(info=loaded.info, graph=graph, samples=samples, records=(record,), warnings=warnings)


def _refuse_weights(options: SourceOptions) -> None:
    given = {
        "--weights": options.weights,
        "--weights-key": options.weights_key,
        "--model-arg": options.model_args or None,
    }
    for flag, value in given.items():
        if value is not None:
            raise UsageError(flag, "an ONNX file carries its own weights and shapes", f"leave {flag} out")
