"""Conv, Relu, Conv with a few channels too many between them, all zeros.

    Conv(Relu(Conv(x; V, a)); W, b) = Conv(Relu(Conv(x; [V; 0], [a; 0])); [W 0], b)

Runtimes lay channels out in blocks, and take the slow path for a count that is no multiple of four. The zeros fill what
the block would have padded anyway.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgevision.passes.convolution import only_reader, produced_by, read_convolution
from edgevision.passes.graph_pass import PassResult
from edgevision.passes.rewriting import rewrite_all
from edgevision.reparam.rewrite import Rewrite, Step

__all__ = ["MULTIPLE", "pad_channels"]

#: Channel counts that ONNX Runtime's blocked convolutions accept.
MULTIPLE = 4


def pad_channels(model: ir.Model) -> PassResult:
    """Pad between every two convolutions with no more than a Relu between them, in place."""
    return rewrite_all(model, _equation)


def _equation(node: ir.Node) -> Rewrite | None:
    second = read_convolution(node)
    if second is None or second.group != 1:
        return None
    relu = produced_by(second.x, "Relu")
    first = read_convolution(second.x.producer() if relu is None else _producer(relu.inputs[0]))
    if first is None or first.group != 1:
        return None
    between = [first.node, *([] if relu is None else [relu])]
    missing = -len(first.weight) % MULTIPLE
    if missing == 0 or any(only_reader(one.outputs[0]) is None for one in between):
        return None
    filters = np.concatenate([first.weight, np.zeros((missing, *first.weight.shape[1:]))])
    inner: Step = first.step(first.x, filters, np.concatenate([first.bias, np.zeros(missing)]))
    if relu is not None:
        inner = Step(op_type="Relu", inputs=(inner,), shape=inner.shape)
    columns = np.zeros((len(second.weight), missing, *second.weight.shape[2:]))
    new = second.step(inner, np.concatenate([second.weight, columns], axis=1), second.bias)
    return Rewrite(equation="pad_channels", old=(*between, node), new=new, probes={})


def _producer(value: ir.Value | None) -> ir.Node | None:
    return None if value is None else value.producer()
