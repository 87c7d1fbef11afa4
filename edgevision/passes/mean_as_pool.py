"""ReduceMean over all pixels -> GlobalAveragePool, which runtimes compute in the layout of their convolutions."""

from __future__ import annotations

import onnx_ir as ir

from edgevision.passes.graph_pass import PassResult
from edgevision.passes.rewriting import rewrite_all
from edgevision.reparam.matching import is_standard
from edgevision.reparam.rewrite import Rewrite, Step

__all__ = ["mean_as_pool"]


def mean_as_pool(model: ir.Model) -> PassResult:
    """Rewrite every mean over the last two of four axes that keeps them, in place."""
    return rewrite_all(model, _equation)


def _equation(node: ir.Node) -> Rewrite | None:
    if node.op_type != "ReduceMean" or not is_standard(node) or node.attributes.get_int("keepdims", 1) != 1:
        return None
    x, axes = node.inputs[0], node.inputs[1] if len(node.inputs) > 1 else None
    constant = None if axes is None else ir.convenience.get_const_tensor(axes)
    if x is None or x.shape is None or len(x.shape) != 4 or constant is None:
        return None
    if sorted(int(a) % 4 for a in constant.numpy()) != [2, 3]:
        return None
    new = Step(op_type="GlobalAveragePool", inputs=(x,), shape=node.outputs[0].shape)
    return Rewrite(equation="mean_as_pool", old=(node,), new=new, probes={})
