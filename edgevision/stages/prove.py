"""The proof each graph stage must pass before its output goes on."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.errors import GraphError
from edgevision.proof import Difference
from edgevision.stages.samples import Samples, run_graph, worst_over

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevision.stages.load import Loaded

__all__ = ["TOLERANCE", "prove_against_graph", "prove_against_module"]

#: Largest max_abs_over_std between two float32 computations of one network that we call equal.
TOLERANCE = 1e-4


def prove_against_module(model: ir.Model, loaded: Loaded, samples: Samples, tolerance: float = TOLERANCE) -> Difference:
    """Hold a captured graph against PyTorch.

    Raises:
        GraphError: they differ; names the first module at which they do.
    """
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        error = worst_over(samples.outputs, run_graph(model, samples.feeds, Path(folder)))
        if error.max_abs_over_std <= tolerance:
            return error
        from edgevision.stages.locate import first_diverging_module

        where = first_diverging_module(loaded.module, model, samples.feeds[0], tolerance, Path(folder))
    raise _not_equal("capture", "PyTorch", error, tolerance, where)


def prove_against_graph(
    before: ir.Model, after: ir.Model, samples: Samples, stage: str, tolerance: float = TOLERANCE
) -> Difference:
    """Hold a rewritten graph against the graph it was made of.

    Raises:
        GraphError: they differ; names the first tensor at which they do.
    """
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        expected = run_graph(before, samples.feeds, Path(folder))
        error = worst_over(expected, run_graph(after, samples.feeds, Path(folder)))
        if error.max_abs_over_std <= tolerance:
            return error
        from edgevision.stages.locate import first_diverging_tensor

        where = first_diverging_tensor(before, after, samples.feeds[0], tolerance, Path(folder))
    raise _not_equal(stage, "the graph before it", error, tolerance, where)


def _not_equal(stage: str, against: str, error: Difference, tolerance: float, where: str | None) -> GraphError:
    first = f", first at {where}" if where else ""
    return GraphError(
        f"stage {stage}",
        f"its result differs from {against} by {error.max_abs_over_std:.2e} of the output's std "
        f"(allowed {tolerance:.0e}){first}",
        "report it with the model; `edgevision compare` shows every layer",
    )
