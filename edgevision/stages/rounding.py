"""Whose fault a failed proof is: the result is wrong, or float32 does not carry the network.

Two right computations in float32 differ by what rounding costs the network, which its own graph tells: in float32 against
float64, on the same sample. Some networks amplify that beyond any tolerance (a difference of large numbers, a norm over
nearly equal ones, random weights many layers deep), and no runtime can be held to them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.proof import Difference
from edgevision.stages.samples import Array, run_graph, worst_by_output

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Blame", "blame"]

#: Maxima over other samples and other orders of summing scatter: rounding explains a distance up to this many times its own.
_SCATTER = 10.0


@dataclass(frozen=True, kw_only=True)
class Blame:
    """What an error says of rounding, behind its reason, and what to do."""

    reason: str
    mend: str


def blame(model: ir.Model, feed: Mapping[str, Array], errors: Sequence[Difference], mend: str) -> Blame:
    """Measure float32 against float64 of `model` on one sample, for the output that is furthest off.

    Args:
        model: the graph that was right so far.
        feed: a sample.
        errors: of the outputs, as the failed proof measured them.
        mend: what to do about a result that is wrong.
    """
    from edgevision.passes.float64 import run_in_float64

    exact = run_in_float64(model, feed)
    if exact is None:
        return Blame(reason="; what rounding costs could not be measured: the graph does not run in float64", mend=mend)
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        costs = worst_by_output([exact], run_graph(model, [feed], Path(folder)))
    index = max(range(len(errors)), key=lambda i: errors[i].max_abs_over_std)
    cost = costs[index].max_abs_over_std
    if errors[index].max_abs_over_std > _SCATTER * cost:
        reason = f"; float32 costs this network only {cost:.1e} of std, against float64: rounding is not the reason"
        return Blame(reason=reason, mend=mend)
    return Blame(
        reason=f"; float32 itself costs this network {cost:.1e} of std, against float64 on the same sample: it amplifies "
        "rounding, and no two float32 runtimes need agree better",
        mend="try trained weights: random ones may amplify without bound. If these are trained, look for a difference of "
        "large numbers or a norm over nearly equal ones",
    )
