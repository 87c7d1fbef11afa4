"""verify: the artifact, on its own runtime, against the outputs of the model it was made of."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.errors import GraphError
from edgevision.manifest import Parity, Record, Status
from edgevision.proof import Difference, worst_of
from edgevision.stages.rounding import Blame, blame
from edgevision.stages.samples import Samples, run_graph, run_samples, worst_by_output
from edgevision.stages.timing import Stopwatch
from edgevision.targets.reference import Reference
from edgevision.targets.target import Artifact, Emulating, Precision, Proof, Target

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["TOLERANCES", "Verified", "verify_artifact"]

#: Largest max_abs_over_std allowed per precision. An INT8 artifact is held against the Q/DQ graph it was built
#: of, whose roundings a runtime may make in another order; its accuracy is the gate's business. An artifact in half
#: precision that brings its twin is held to what rounding costs this very graph, and warned about above these.
TOLERANCES: Mapping[Precision, float] = {"fp32": 1e-4, "fp16": 4e-2, "bf16": 0.3, "int8": 0.1}
#: An artifact rounds at the same places as its twin, in another order: as often as not it is the one further away.
_TWICE = 2.0
_MEND = "report it with the model; the stages before it were proven equal, so the runtime or a kernel is wrong"


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The verdict on an artifact, the stage's record, what else was proven on the way, and what to warn of."""

    parity: Parity
    record: Record
    proofs: tuple[Proof, ...] = ()
    warnings: tuple[str, ...] = ()


def verify_artifact(
    artifact: Artifact, target: Target, samples: Samples, tolerance: float, graph: ir.Model | None = None
) -> Verified:
    """Run the artifact on the samples. What cannot run here is `built, not run`, never verified.

    With the `graph` it was built of, a refusal says whether rounding in float32 is the reason.

    Raises:
        GraphError: it runs, and its outputs are not the model's; or half precision has no range for the model.
    """
    watch = Stopwatch("verify")
    allowed, proofs, notes, warnings = [tolerance] * len(samples.outputs[0]), list[Proof](), list[str](), list[str]()
    held = _Held(samples=samples, graph=None if artifact.twin is not None else graph)
    if artifact.twin is not None:
        rounding = _rounding(artifact.twin, samples)
        worst = worst_of(rounding)
        proofs.append(_proof("every tensor stored in half precision rounded, in ONNX Runtime", samples, worst))
        notes.append(
            f"rounding alone costs {worst.max_abs_over_std:.1e}; each output may differ by twice what it costs"
        )
        if worst.max_abs_over_std > tolerance:
            warnings.append(_costly(samples, rounding, tolerance))
        allowed = [max(_TWICE * each.max_abs_over_std, TOLERANCES["fp32"]) for each in rounding]
    if artifact.runnable:
        with target.load(artifact.path) as runner:
            errors = worst_by_output(samples.outputs, run_samples(runner, samples))
        held.require(errors, allowed, "the artifact")
        parity = _parity("verified", samples, _count(samples), worst_of(errors), allowed)
    else:
        notes.append("the artifact's runtime cannot run on this machine")
        proofs += _proofs_elsewhere(artifact, target, held, allowed)
        parity = _parity("built, not run", samples, 0, None, allowed)
    record = watch.record(inputs=[], outputs=[], error=worst_of(errors) if artifact.runnable else None, notes=notes)
    return Verified(parity=parity, record=record, proofs=tuple(proofs), warnings=tuple(warnings))


@dataclass(frozen=True, kw_only=True)
class _Held:
    """What the artifact is held against; with the `graph` where rounding in float32 may be to blame."""

    samples: Samples
    graph: ir.Model | None

    def require(self, errors: Sequence[Difference], allowed: Sequence[float], what: str) -> None:
        """GraphError when an output is further from the reference than is allowed for it."""
        for index, (error, tolerance) in enumerate(zip(errors, allowed, strict=True)):
            if error.max_abs_over_std <= tolerance:
                continue
            output = f" in output {index}" if len(errors) > 1 else ""
            judged = Blame(reason="", mend=_MEND)
            if self.graph is not None:
                judged = blame(self.graph, self.samples.feeds[0], errors, _MEND)
            raise GraphError(
                "stage verify",
                f"{what} differs from {self.samples.reference}{output} by {error.max_abs_over_std:.2e} of the output's std "
                f"(allowed {tolerance:.1e}){judged.reason}",
                judged.mend,
            )


def _rounding(twin: ir.Model, samples: Samples) -> list[Difference]:
    """What storing tensors in half precision costs each output, with all arithmetic in float32."""
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        costs = worst_by_output(samples.outputs, run_graph(twin, samples.feeds, Path(folder)))
    if not all(isfinite(each.max_abs_over_std) for each in costs):
        reason = "rounded to half precision it computes NaN or Inf: a tensor leaves the format's range"
        raise GraphError("stage verify", reason, "export it in bf16, whose range is float32's, or in fp32")
    return costs


def _costly(samples: Samples, rounding: Sequence[Difference], usual: float) -> str:
    outputs = [index for index, each in enumerate(rounding) if each.max_abs_over_std > usual]
    which = f"output {', '.join(map(str, outputs))}" if len(rounding) > 1 else "the output"
    return (
        f"half precision alone moves {which} by {worst_of(rounding).max_abs_over_std:.1e} of std from {samples.reference} "
        f"(usual: up to {usual:.0e}): measure the accuracy, or export in fp32"
    )


def _proofs_elsewhere(artifact: Artifact, target: Target, held: _Held, allowed: Sequence[float]) -> list[Proof]:
    """What is left to prove without the runtime: the artifact emulated, or the graph its parser was given."""
    if isinstance(target, Emulating):
        what, opened = f"{artifact.path.name}, emulated", target.emulate(artifact.path)
    elif artifact.graph is not None:
        what, opened = f"{artifact.graph.name} in ONNX Runtime", Reference().load(artifact.graph)
    else:
        return []
    with opened as runner:
        errors = worst_by_output(held.samples.outputs, run_samples(runner, held.samples))
    held.require(errors, allowed, f"{what},")
    return [_proof(what, held.samples, worst_of(errors))]


def _proof(what: str, samples: Samples, error: Difference) -> Proof:
    return Proof(what=what, against=samples.reference, samples=_count(samples), max_abs_over_std=error.max_abs_over_std)


def _parity(status: Status, samples: Samples, count: int, error: Difference | None, allowed: Sequence[float]) -> Parity:
    return Parity(
        status=status,
        reference=samples.reference,
        samples=count,
        max_abs_over_std=error.max_abs_over_std if error else None,
        relative_l2_error=error.relative_l2 if error else None,
        tolerance=max(allowed),
        tolerances=tuple(allowed) if len(set(allowed)) > 1 else (),
    )


def _count(samples: Samples) -> int:
    return sum(next(iter(feed.values())).shape[0] for feed in samples.feeds)
