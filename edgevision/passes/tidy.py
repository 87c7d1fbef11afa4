"""Folds what does not depend on the input and removes what nothing uses. No weight changes its value here.

The cases: constant expressions (shape arithmetic, re-ordered weights, −exp(A_log)), identities, equal
sub-expressions, equal initializers, unused nodes, opsets and functions.
"""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common
from onnxscript.optimizer import fold_constants

__all__ = ["tidy"]

#: A folded constant may be this many elements: any weight of any model, but not a whole feature map of ones.
_LARGEST_FOLD = 64 * 2**20


def tidy(model: ir.Model) -> bool:
    """Tidy `model` in place; returns whether anything changed."""
    changed = False
    for _ in range(4):  # each round may open work for the next; graphs settle in two or three
        folded = fold_constants(
            model, onnx_shape_inference=True, input_size_limit=_LARGEST_FOLD, output_size_limit=_LARGEST_FOLD
        )
        cleaned = _CLEAN(model)
        if not (folded.modified or cleaned.modified):
            break
        changed = True
    return changed


_CLEAN = ir.passes.Sequential(
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
    common.IdentityEliminationPass(),
    common.CommonSubexpressionEliminationPass(),
    common.DeduplicateInitializersPass(),
    common.RemoveUnusedNodesPass(),
    common.RemoveUnusedFunctionsPass(),
    common.RemoveUnusedOpsetsPass(),
)
