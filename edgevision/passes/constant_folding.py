"""Constants that hide behind nodes become initializers: Constant, and whatever reads nothing but constants.

Exporters leave a bias as Expand(CastLike(0)), a layer scale as Unsqueeze(Unsqueeze(gamma)), a linear weight as
Transpose(W); the equations of the algebra look for plain initializers.
"""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common_passes
from onnxscript import optimizer

from edgevision.passes.graph_pass import Application, PassResult

__all__ = ["fold_constants"]

_REORDERING = {"Transpose", "Reshape", "Unsqueeze", "Squeeze", "Identity", "Cast", "CastLike", "Flatten"}
_INPUT_LIMIT = 8_192
_OUTPUT_LIMIT = 262_144


def fold_constants(model: ir.Model) -> PassResult:
    """Evaluate the nodes that depend on constants alone, in place.

    A node that only reorders its input is evaluated whatever its size; another only where it makes nothing large, so
    that a generated mask does not become megabytes.
    """
    before = [(node, node.name or node.op_type) for node in model.graph]
    optimizer.fold_constants(
        model,
        onnx_shape_inference=True,
        input_size_limit=_INPUT_LIMIT,
        output_size_limit=_OUTPUT_LIMIT,
        should_fold=lambda node: True if node.op_type in _REORDERING else None,
    )
    common_passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    common_passes.RemoveUnusedNodesPass()(model)
    gone = tuple(name for node, name in before if node.graph is None)
    count = len(gone)
    applied = (Application(where=gone, equation="constant_folding", nodes_before=count),) if gone else ()
    return PassResult(model=model, applied=applied)
