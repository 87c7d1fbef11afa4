"""Applies one equation wherever it matches: the driver of passes that are written as `Rewrite`s.

An equation looks at the last node of a place and answers with the tree of new nodes, or with None. Old nodes that
others still read stay, and those that nothing reads any more go at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgevision.passes.graph_pass import Application, PassResult
from edgevision.reparam.matching import Decline, labels
from edgevision.reparam.rewrite import Rewrite, write

__all__ = ["Equation", "rewrite_all"]

#: What replaces the place that ends in a node; None (or Decline) where there is nothing to do.
Equation = Callable[[ir.Node], Rewrite | None]


def rewrite_all(model: ir.Model, equation: Equation) -> PassResult:
    """Apply `equation` to every node of the main graph, first to last, in place."""
    applied = []
    for node in list(model.graph):
        try:
            rewrite = equation(node) if node.graph is not None else None
        except Decline:
            continue
        if rewrite is None:
            continue
        where = labels(rewrite.old)
        new = write(replace(rewrite, old=rewrite.old[-1:]), model.graph)
        applied.append(
            Application(where=where, equation=rewrite.equation, nodes_before=len(where), nodes_after=len(new))
        )
    if applied:
        RemoveUnusedNodesPass()(model)
    return PassResult(model=model, applied=tuple(applied))
