"""Merging on its own: a model or graph to its deploy form, as a checkpoint or an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cache import default_cache
from edgevision.errors import UsageError
from edgevision.manifest import Record, as_json
from edgevision.spec import ZooModel, parse_model
from edgevision.stages.source import Source, SourceOptions, open_source
from edgevision.stages.timing import Report, unreported
from edgevision.whole_file import whole_file

if TYPE_CHECKING:
    from edgevision.reparam.int8_risk import RiskyWeight

__all__ = ["MergeOptions", "Merged", "merge_model"]


@dataclass(frozen=True, kw_only=True)
class MergeOptions(SourceOptions):
    """What to merge, and where to: a `.pth` (deploy-form state dict) or a `.onnx`; None keeps nothing."""

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
    found = open_source(options, default_cache(), report, keep_unknown=True)
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


def _write(out: Path, spec: Any, options: MergeOptions, found: Source) -> None:
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
