"""Folds what does not depend on the input and removes what nothing uses. No weight changes its value here.

The cases: constant expressions (shape arithmetic, re-ordered weights, −exp(A_log)), reshapes to computed shapes, parts
without elements, identities, equal sub-expressions, equal integer constants, unused nodes, opsets and functions. Equal *weights* stay
apart: a fold may later change one and not the other.

onnxsim, tried behind it, removes not one node more from the zoo's graphs; from CFSR's published file it removes 19, each
a constant factor that the folds of `edgevision.reparam` move into a convolution, with a proof.
"""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common
from onnxscript.optimizer import fold_constants

from edgevision.passes.empty_parts import drop_empty_parts
from edgevision.passes.own_bodies import bodies_set_aside
from edgevision.passes.split_constants import split_constants
from edgevision.passes.static_reshape import make_reshapes_static

__all__ = ["tidy"]

#: A folded constant may be this many elements: any weight of any model, but not a whole feature map of ones.
_LARGEST_FOLD = 64 * 2**20

_LIFT = common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)
_CLEAN = ir.passes.Sequential(
    _LIFT,
    common.IdentityEliminationPass(),
    common.CommonSubexpressionEliminationPass(),
    common.RemoveUnusedNodesPass(),
    common.RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]
    common.RemoveUnusedOpsetsPass(),
)


def tidy(model: ir.Model) -> bool:
    """Tidy `model` in place, all but the bodies of our own operators; returns whether anything changed."""
    with bodies_set_aside(model):
        return _tidy(model)


def _tidy(model: ir.Model) -> bool:
    changed = False
    for _ in range(4):  # each round may open work for the next; graphs settle in two or three
        _LIFT(model)
        split = split_constants(model)
        shortened = drop_empty_parts(model)
        folded = fold_constants(
            model,
            onnx_shape_inference=True,
            should_fold=_foldable,
            input_size_limit=_LARGEST_FOLD,
            output_size_limit=_LARGEST_FOLD,
        )
        lifted = _CLEAN(model).modified
        merged = _merge_integer_constants(model)
        reshaped = make_reshapes_static(model)
        if not (split or shortened or folded.modified or lifted or merged or reshaped):
            break
        changed = True
    return changed


def _foldable(node: ir.Node) -> bool | None:
    """Split is `split_constants`' business; None leaves the rest to the folder's own rules."""
    return False if node.op_type == "Split" else None


def _merge_integer_constants(model: ir.Model) -> bool:
    first: dict[tuple[bytes, tuple[int, ...]], ir.Value] = {}
    changed = False
    for value in list(model.graph.initializers.values()):
        tensor = value.const_value
        if tensor is None or tensor.dtype != ir.DataType.INT64 or value.is_graph_output():
            continue
        key = (tensor.tobytes(), tuple(tensor.shape.numpy()))
        kept = first.setdefault(key, value)
        if kept is not value and value.name is not None:
            value.replace_all_uses_with(kept)
            del model.graph.initializers[value.name]
            changed = True
    return changed
