"""verify: the artifact, on its own runtime, against the outputs of the model it was made of."""

from __future__ import annotations

from edgevision.errors import GraphError
from edgevision.manifest import Parity, Record
from edgevision.stages.samples import Samples, compare_runner
from edgevision.stages.timing import Stopwatch
from edgevision.targets.target import Artifact, Target

__all__ = ["TOLERANCES", "verify_artifact"]

#: Largest max_abs_over_std allowed per precision. INT8 is judged by its accuracy gate, not by closeness of outputs.
TOLERANCES = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 8e-2}


def verify_artifact(artifact: Artifact, target: Target, samples: Samples, tolerance: float) -> tuple[Parity, Record]:
    """Run the artifact on the samples. What cannot run here is `built, not run`, never verified.

    Raises:
        GraphError: it runs, and its outputs are not the model's.
    """
    watch = Stopwatch("verify")
    if not artifact.runnable:
        parity = Parity(
            status="built, not run",
            reference=samples.reference,
            samples=0,
            max_abs_over_std=None,
            relative_l2_error=None,
            tolerance=tolerance,
        )
        return parity, watch.record(inputs=[], outputs=[], notes=["the artifact's runtime cannot run on this machine"])
    with target.load(artifact.path) as runner:
        error = compare_runner(runner, samples)
    if not error.max_abs_over_std <= tolerance:
        raise GraphError(
            "stage verify",
            f"the artifact differs from {samples.reference} by {error.max_abs_over_std:.2e} of the output's std "
            f"(allowed {tolerance:.0e})",
            "report it with the model; the stages before it were proven equal, so the runtime or a kernel is wrong",
        )
    parity = Parity(
        status="verified",
        reference=samples.reference,
        samples=sum(next(iter(feed.values())).shape[0] for feed in samples.feeds),
        max_abs_over_std=error.max_abs_over_std,
        relative_l2_error=error.relative_l2,
        tolerance=tolerance,
    )
    return parity, watch.record(inputs=[], outputs=[], error=error)
