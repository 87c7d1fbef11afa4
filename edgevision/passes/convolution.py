"""A Conv with constant weights, as the lowering passes see it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevision.reparam.matching import Floats, attributes_of, is_standard, weight_array
from edgevision.reparam.rewrite import Step, Weights

__all__ = ["Convolution", "only_reader", "produced_by", "read_convolution"]


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """One Conv.

    Attributes:
        weight: [out, in/group, *taps]; bias: [out]; both float64 as read, nothing is rounded on the way.
    """

    node: ir.Node
    x: ir.Value
    weight: Floats
    bias: Floats
    group: int

    @property
    def depthwise(self) -> bool:
        """Whether each channel has a filter of its own."""
        return self.group == len(self.weight) and self.weight.shape[1] == 1

    @property
    def pointwise(self) -> bool:
        """Whether it is a product with a matrix at every pixel."""
        plain = all(s == 1 for s in self.node.attributes.get_ints("strides", [1]))
        pads = self.node.attributes.get_ints("pads", [0])
        return self.group == 1 and plain and not any(pads) and set(self.weight.shape[2:]) <= {1}

    @property
    def keeps_size(self) -> bool:
        """Whether the output is as large as the input, by shapes that are known."""
        before, after = self.x.shape, self.node.outputs[0].shape
        return before is not None and after is not None and before[2:] == after[2:]

    def step(self, x: ir.Value | Step, weight: Floats, bias: Floats | None, group: int = 1) -> Step:
        """The same convolution of `x` with other filters."""
        names = [v.name or "weight" for v in self.node.inputs[1:] if v is not None]
        names += [f"{names[0]}_bias"]
        dtype = np.dtype(np.float32)
        operands: list[ir.Value | Weights | Step] = [x, Weights(array=weight, name=names[0], dtype=dtype)]
        if bias is not None:
            operands.append(Weights(array=bias, name=names[1], dtype=dtype))
        attributes = {**attributes_of(self.node), "group": group}
        shape = self.node.outputs[0].shape
        dims = None if shape is None else ir.Shape([shape[0], len(weight), *shape[2:]])
        return Step(op_type="Conv", inputs=tuple(operands), attributes=attributes, shape=dims)


def read_convolution(node: ir.Node | None) -> Convolution | None:
    """`node` as a Convolution in float32; None where it is anything else. Declines weights that may not be replaced."""
    if node is None or node.op_type != "Conv" or not is_standard(node) or node.inputs[0] is None:
        return None
    filters = node.inputs[1]
    if filters is None or filters.dtype != ir.DataType.FLOAT:
        return None
    weight = weight_array(filters)
    given = node.inputs[2] if len(node.inputs) > 2 else None
    bias = np.zeros(len(weight)) if given is None else weight_array(given)
    return Convolution(node=node, x=node.inputs[0], weight=weight, bias=bias, group=node.attributes.get_int("group", 1))


def produced_by(value: ir.Value | None, op_type: str) -> ir.Node | None:
    """The standard node of that type that computes `value`, None where there is none."""
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == op_type and is_standard(node) else None


def only_reader(value: ir.Value) -> ir.Node | None:
    """The one node that reads `value`, None where there are several or where it leaves the graph."""
    uses = tuple(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None
