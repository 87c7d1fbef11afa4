"""The proof each graph stage must pass before its output goes on."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.errors import GraphError
from edgevision.proof import Difference, worst_of
from edgevision.stages.rounding import Blame, blame
from edgevision.stages.samples import Array, Samples, run_graph, worst_by_output

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevision.stages.load import Loaded

__all__ = ["TOLERANCE", "Original", "prove_against_graph", "prove_against_module"]

#: Largest max_abs_over_std between two float32 computations of one network that we call equal.
TOLERANCE = 1e-4
_MEND = "report it with the model; `edgevision compare` shows every layer"


def prove_against_module(model: ir.Model, loaded: Loaded, samples: Samples, tolerance: float = TOLERANCE) -> Difference:
    """Hold a captured graph against PyTorch.

    Raises:
        GraphError: they differ; names the first module at which they do.
    """
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        errors = worst_by_output(samples.outputs, run_graph(model, samples.feeds, Path(folder)))
        error = worst_of(errors)
        if error.max_abs_over_std <= tolerance:
            return error
        from edgevision.stages.locate import first_diverging_module

        where = first_diverging_module(loaded.module, model, samples.feeds[0], tolerance, Path(folder))
    raise _not_equal("capture", "PyTorch", errors, tolerance, where, blame(model, samples.feeds[0], errors, _MEND))


@dataclass(frozen=True)
class Original:
    """A graph before it is rewritten, with what it computes for the samples' feeds: run once, held against often."""

    model: ir.Model
    feeds: Sequence[Mapping[str, Array]]
    outputs: Sequence[Sequence[Array]]

    @classmethod
    def of(cls, model: ir.Model, samples: Samples) -> Original:
        """A copy of `model`, run on the feeds of `samples`; without feeds it is not run."""
        if not samples.feeds:
            return cls(model.clone(), (), ())
        with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
            return cls(model.clone(), samples.feeds, run_graph(model, samples.feeds, Path(folder)))


def prove_against_graph(
    before: Original, after: ir.Model, stage: str, tolerance: float = TOLERANCE
) -> Difference | None:
    """Hold a rewritten graph against the graph it was made of; None where that could not be run.

    Raises:
        GraphError: they differ; names the first tensor at which they do.
    """
    if not before.feeds:
        return None
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        errors = worst_by_output(before.outputs, run_graph(after, before.feeds, Path(folder)))
        error = worst_of(errors)
        if error.max_abs_over_std <= tolerance:
            return error
        from edgevision.stages.locate import first_diverging_tensor

        where = first_diverging_tensor(before.model, after, before.feeds[0], tolerance, Path(folder))
    judged = blame(before.model, before.feeds[0], errors, _MEND)
    raise _not_equal(stage, "the graph before it", errors, tolerance, where, judged)


def _not_equal(
    stage: str, against: str, errors: Sequence[Difference], tolerance: float, where: str | None, judged: Blame
) -> GraphError:
    first = f", first at {where}" if where else ""
    return GraphError(
        f"stage {stage}",
        f"its result differs from {against} by {worst_of(errors).max_abs_over_std:.2e} of the output's std "
        f"(allowed {tolerance:.0e}){first}{judged.reason}",
        judged.mend,
    )
