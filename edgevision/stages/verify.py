"""verify: the artifact, on its own runtime, against the outputs of the model it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgevision.errors import GraphError
from edgevision.manifest import Parity, Record
from edgevision.proof import Difference
from edgevision.stages.samples import Samples, compare_runner
from edgevision.stages.timing import Stopwatch
from edgevision.targets.reference import Reference
from edgevision.targets.target import Artifact, Emulating, Precision, Proof, Target

__all__ = ["TOLERANCES", "Verified", "verify_artifact"]

#: Largest max_abs_over_std allowed per precision. An INT8 artifact is held against the Q/DQ graph it was built
#: of, whose roundings a runtime may make in another order; its accuracy is the gate's business. In half precision the
#: weights' rounding alone, with all arithmetic in float32, moves MobileMamba-T2 by 1.7e-2 of std (bfloat16: 8x that).
TOLERANCES: Mapping[Precision, float] = {"fp32": 1e-4, "fp16": 4e-2, "bf16": 0.3, "int8": 0.1}


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The verdict on an artifact, the stage's record, and what else was proven on the way."""

    parity: Parity
    record: Record
    proofs: tuple[Proof, ...] = ()


def verify_artifact(artifact: Artifact, target: Target, samples: Samples, tolerance: float) -> Verified:
    """Run the artifact on the samples. What cannot run here is `built, not run`, never verified.

    Raises:
        GraphError: it runs, and its outputs are not the model's.
    """
    watch = Stopwatch("verify")
    if not artifact.runnable:
        return _not_run(artifact, target, samples, tolerance, watch)
    with target.load(artifact.path) as runner:
        error = compare_runner(runner, samples)
    _require(error, tolerance, "the artifact", samples.reference)
    parity = Parity(
        status="verified",
        reference=samples.reference,
        samples=_count(samples),
        max_abs_over_std=error.max_abs_over_std,
        relative_l2_error=error.relative_l2,
        tolerance=tolerance,
    )
    return Verified(parity=parity, record=watch.record(inputs=[], outputs=[], error=error))


def _not_run(artifact: Artifact, target: Target, samples: Samples, tolerance: float, watch: Stopwatch) -> Verified:
    """What is left to prove without the runtime: the artifact emulated, or the graph its parser was given."""
    parity = Parity(
        status="built, not run",
        reference=samples.reference,
        samples=0,
        max_abs_over_std=None,
        relative_l2_error=None,
        tolerance=tolerance,
    )
    notes = ["the artifact's runtime cannot run on this machine"]
    if isinstance(target, Emulating):
        what, opened = f"{artifact.path.name}, emulated", target.emulate(artifact.path)
    elif artifact.graph is not None:
        what, opened = f"{artifact.graph.name} in ONNX Runtime", Reference().load(artifact.graph)
    else:
        return Verified(parity=parity, record=watch.record(inputs=[], outputs=[], notes=notes))
    with opened as runner:
        error = compare_runner(runner, samples)
    _require(error, tolerance, f"{what},", samples.reference)
    proof = Proof(
        what=what,
        against=samples.reference,
        samples=_count(samples),
        max_abs_over_std=error.max_abs_over_std,
    )
    return Verified(parity=parity, record=watch.record(inputs=[], outputs=[], notes=notes), proofs=(proof,))


def _require(error: Difference, tolerance: float, what: str, reference: str) -> None:
    if not error.max_abs_over_std <= tolerance:
        raise GraphError(
            "stage verify",
            f"{what} differs from {reference} by {error.max_abs_over_std:.2e} of the output's std "
            f"(allowed {tolerance:.0e})",
            "report it with the model; the stages before it were proven equal, so the runtime or a kernel is wrong",
        )


def _count(samples: Samples) -> int:
    return sum(next(iter(feed.values())).shape[0] for feed in samples.feeds)
