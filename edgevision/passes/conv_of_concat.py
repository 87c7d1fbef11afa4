"""Conv(f(Concat(x_1, ..., x_n)); W, b) = b + sum_i Conv(f(x_i); W_i), with W_i the columns for x_i, f = Relu or nothing.

Runtimes add a convolution's result to what is there for nothing, so the copy into one map and back goes. A residual
that is added afterwards goes first into the sum: every convolution then has something to add itself to.

Every part but one costs a pass over the output, read and written; the concatenation costs one over its channels, and as
a rule two more to lay its parts and itself out. So n parts of C channels together are left as they are where
(n - 1) * outputs > 3 * C, the four parts before InceptionNeXt's widening convolution for one.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgevision.passes.convolution import Convolution, only_reader, produced_by, read_convolution
from edgevision.passes.graph_pass import PassResult
from edgevision.passes.rewriting import rewrite_all
from edgevision.reparam.rewrite import Rewrite, Step

__all__ = ["conv_of_concat"]

#: Passes over the concatenated channels that go.
_SPARED = 3


def conv_of_concat(model: ir.Model) -> PassResult:
    """Rewrite every pointwise convolution of a channel concatenation, in place."""
    return rewrite_all(model, _equation)


def _equation(node: ir.Node) -> Rewrite | None:
    conv = read_convolution(node)
    if conv is None or not conv.pointwise:
        return None
    relu = produced_by(conv.x, "Relu")
    joined = conv.x if relu is None else relu.inputs[0]
    concat = produced_by(joined, "Concat")
    if concat is None or concat.attributes.get_int("axis", 0) != 1:
        return None
    inner = (concat, *(() if relu is None else (relu,)), node)
    if any(only_reader(one.outputs[0]) is None for one in inner[:-1]):
        return None
    parts = [value for value in concat.inputs if value is not None]
    widths = [None if value.shape is None else value.shape[1] for value in parts]
    if not all(isinstance(width, int) for width in widths):
        return None
    outputs, channels = conv.weight.shape[:2]
    if (len(parts) - 1) * outputs > _SPARED * channels:
        return None
    add = only_reader(node.outputs[0])
    if add is not None and add.op_type == "Add" and add.inputs[0] is not add.inputs[1]:
        other = next(value for value in add.inputs if value is not node.outputs[0])
        if other is not None and other.shape == node.outputs[0].shape:
            return _sum(conv, parts, relu is not None, (*inner, add), other)
    return _sum(conv, parts, relu is not None, inner, None)


def _sum(
    conv: Convolution, parts: list[ir.Value], rectify: bool, old: tuple[ir.Node, ...], residual: ir.Value | None
) -> Rewrite:
    dims = [value.shape[1] for value in parts if value.shape is not None]  # the batch may be open
    widths = [dim for dim in dims if isinstance(dim, int)]
    columns = np.split(conv.weight, np.cumsum(widths)[:-1], axis=1)
    shape = conv.node.outputs[0].shape
    total: ir.Value | Step | None = residual
    # The last part of the concatenation first: what takes longest to compute is added last.
    for index in reversed(range(len(parts))):
        part: ir.Value | Step = parts[index]
        if rectify:
            part = Step(op_type="Relu", inputs=(part,), shape=parts[index].shape)
        bias = conv.bias if index == len(parts) - 1 else None
        term = conv.step(part, columns[index], bias)
        total = term if total is None else Step(op_type="Add", inputs=(total, term), shape=shape)
    if not isinstance(total, Step):
        raise TypeError("a concatenation has at least one part")
    return Rewrite(equation="conv_of_concat", old=old, new=total, probes={})
