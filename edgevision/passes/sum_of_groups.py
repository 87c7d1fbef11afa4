"""ReduceSum(Reshape(x, [Bt, K, C, L]), axis 1) = x[0:C] + ... + x[(K-1)C:KC], for few groups.

The sum over a leading axis walks memory with a stride; slices and an addition walk it once, in order.
"""

from __future__ import annotations

import onnx_ir as ir

from edgevision.passes.convolution import only_reader, produced_by
from edgevision.passes.graph_pass import PassResult
from edgevision.passes.rewriting import rewrite_all
from edgevision.passes.slices import Channels
from edgevision.reparam.matching import is_standard
from edgevision.reparam.rewrite import Rewrite, Step

__all__ = ["sum_of_groups"]

_MOST = 4


def sum_of_groups(model: ir.Model) -> PassResult:
    """Rewrite every such sum of at most four groups, in place."""
    return rewrite_all(model, _equation)


def _equation(node: ir.Node) -> Rewrite | None:
    if node.op_type != "ReduceSum" or not is_standard(node) or node.attributes.get_int("keepdims", 1) != 0:
        return None
    split = produced_by(node.inputs[0], "Reshape")
    axes = ir.convenience.get_const_tensor(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None
    if split is None or axes is None or axes.numpy().tolist() != [1] or only_reader(split.outputs[0]) is None:
        return None
    x, grouped = split.inputs[0], split.outputs[0].shape
    if x is None or x.shape is None or grouped is None or len(grouped) != 4 or len(x.shape) != 3:
        return None
    (_, total, pixels), groups, channels = x.shape, grouped[1], grouped[2]
    if not (isinstance(total, int) and isinstance(groups, int) and isinstance(channels, int)):
        return None
    if grouped[3] != pixels or not 2 <= groups <= _MOST or groups * channels != total:
        return None
    whole = Channels(x=x, start=0, end=total, total=total)
    result: Step = whole.step(0, channels)
    for group in range(1, groups):
        part = whole.step(group * channels, (group + 1) * channels)
        result = Step(op_type="Add", inputs=(result, part), shape=node.outputs[0].shape)
    return Rewrite(equation="sum_of_groups", old=(split, node), new=result, probes={})
