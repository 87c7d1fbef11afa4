"""From training form to deploy form: every equation, everywhere it holds, until none applies any more.

Each application is proven on its own nodes before it is written; one whose proof fails leaves the graph as it was and
is reported with the measured distance.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from edgevision.errors import GraphError, UsageError
from edgevision.passes.fixed_initializers import fix_initializers
from edgevision.passes.graph_pass import Application, Declined, PassResult
from edgevision.passes.inline_functions import inline_functions
from edgevision.passes.own_bodies import bodies_set_aside
from edgevision.passes.tidy import tidy
from edgevision.reparam.accounting import macs, parameters
from edgevision.reparam.equations import Equation, all_equations
from edgevision.reparam.local_proof import prove
from edgevision.reparam.matching import Decline, labels
from edgevision.reparam.rewrite import Rewrite, write

__all__ = ["ReparamOptions", "reparameterize"]

_CLEAN = ir.passes.Sequential(common_passes.IdentityEliminationPass(), common_passes.RemoveUnusedNodesPass())
_OLDEST_OPSET = 9  # below, BatchNormalization and broadcasting mean something else


@dataclass(frozen=True, kw_only=True)
class ReparamOptions:
    """What to merge.

    Attributes:
        equations: names of the equations to use, None for all.
        seed: of the random inputs of the proofs.
    """

    equations: tuple[str, ...] | None = None
    seed: int = 0


def reparameterize(model: ir.Model, options: ReparamOptions | None = None) -> PassResult:
    """Merge what the algebra can merge, in place, and say where, by which equation, and what was left and why.

    Raises:
        UsageError: an equation of that name does not exist.
        GraphError: the model's opset is older than 9.
    """
    options = options or ReparamOptions()
    equations = _chosen(options)
    imports = model.graph.opset_imports
    opset = imports.get("", imports.get("ai.onnx", 0))
    if opset < _OLDEST_OPSET:
        raise GraphError("the model", f"its opset is {opset}", f"convert it to opset {_OLDEST_OPSET} or later first")
    fix_initializers(model)
    walls = inline_functions(model).declined
    tidy(model)
    applied: list[Application] = []
    while True:
        declined: list[Declined] = []
        before = len(applied)
        for equation, graph in itertools.product(equations, (model.graph, *model.graph.subgraphs())):
            for found in equation.find(graph):
                outcome = found if isinstance(found, Declined) else _apply(found, model.graph, opset, options.seed)
                if isinstance(outcome, Application):
                    applied.append(outcome)
                else:
                    declined.append(outcome)
        if len(applied) == before:
            break
        with bodies_set_aside(model):
            _CLEAN(model)
    return PassResult(model=model, applied=tuple(applied), declined=(*walls, *declined))


def _chosen(options: ReparamOptions) -> tuple[Equation, ...]:
    known = {equation.name: equation for equation in all_equations()}
    if options.equations is None:
        return tuple(known.values())
    for name in options.equations:
        if name not in known:
            raise UsageError(f"equation '{name}'", "no such equation", f"choose among {', '.join(sorted(known))}")
    return tuple(equation for name, equation in known.items() if name in options.equations)


def _apply(rewrite: Rewrite, root: ir.Graph, opset: int, seed: int) -> Application | Declined:
    where = labels(rewrite.old)
    if any(node.graph is not rewrite.old[-1].graph for node in (*rewrite.kept, *rewrite.old)):
        reason = "a part of it is in the body of an If or a Loop, which runs when that decides"
        return Declined(where=where, equation=rewrite.equation, reason=reason)
    try:
        proof = prove(rewrite, opset, seed)
    except Decline as no:
        return Declined(where=where, equation=rewrite.equation, reason=no.reason)
    if proof.objection:
        return Declined(where=where, equation=rewrite.equation, reason=proof.objection)
    params_before, macs_before = parameters(rewrite.old), macs(rewrite.old)
    new = write(rewrite, root)
    return Application(
        where=where,
        equation=rewrite.equation,
        params_before=params_before,
        params_after=parameters(new),
        macs_before=macs_before,
        macs_after=macs(new),
        nodes_before=len(rewrite.old),
        nodes_after=len(new),
        error_float64=proof.float64,
        error_float32=proof.float32,
        note=rewrite.note,
    )
