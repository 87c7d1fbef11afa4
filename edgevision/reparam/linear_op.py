"""Conv, ConvTranspose, Gemm and MatMul(+ Add) seen as one thing: a kernel per group and a bias.

    y[g, o] = bias[g, o] + sum_{i, t} kernel[g, o, i, t] * x[g, i] at tap t

For Gemm and MatMul there is one group and no tap. The view is float64; `build` writes it back in the node's own
orientation, everything else about the node unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from edgevision.reparam.affine import ChannelAxis
from edgevision.reparam.matching import (
    Decline,
    Floats,
    attributes_of,
    constant_array,
    is_constant,
    is_standard,
    weight_array,
)
from edgevision.reparam.padding import padding
from edgevision.reparam.rewrite import Step, Weights

__all__ = ["LINEAR_TYPES", "LinearOp", "linear_ending_at", "linear_start", "read_linear"]

LINEAR_TYPES = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True, kw_only=True)
class LinearOp:
    """A linear operator with constant weights.

    Attributes:
        nodes: the node, and for MatMul the Add that holds its bias.
        kernel: [groups, out/groups, in/groups, *taps] float64.
        bias: [out] float64, None where there is none.
        names: of the weight and bias initializers, kept for the merged ones.
    """

    nodes: tuple[ir.Node, ...]
    x: ir.Value
    y: ir.Value
    kernel: Floats
    bias: Floats | None
    names: tuple[str, str]
    dtype: np.dtype[np.generic] = field(default=np.dtype(np.float32))

    @property
    def kind(self) -> str:
        """The ONNX operator."""
        return self.nodes[0].op_type

    @property
    def inputs(self) -> int:
        """Channels read."""
        return int(self.kernel.shape[0] * self.kernel.shape[2])

    @property
    def outputs(self) -> int:
        """Channels written."""
        return int(self.kernel.shape[0] * self.kernel.shape[1])

    def axis(self, *, output: bool) -> ChannelAxis:
        """Where the channels of the operator's output or input lie."""
        channels = self.outputs if output else self.inputs
        if self.kind == "MatMul":
            shape = (self.y if output else self.x).shape
            return ChannelAxis(channels=channels, from_end=-1, rank=None if shape is None else shape.rank())
        taps = self.kernel.ndim - 3
        return ChannelAxis(channels=channels, from_end=-1 - taps, rank=2 + taps)

    def zero_padded(self) -> bool:
        """Whether some output of the operator sees zeros that are not in its input."""
        node = self.nodes[0]
        if self.kind == "ConvTranspose":  # borders and gaps receive fewer taps than the middle, unless there is but one
            around = (*node.attributes.get_ints("pads", ()), *node.attributes.get_ints("output_padding", ()))
            return {*self.kernel.shape[3:], *node.attributes.get_ints("strides", ())} != {1} or any(around)
        if self.kind != "Conv":
            return False
        pads = padding(node, self.kernel.shape[3:])
        return pads is None or any(pads[0] + pads[1])

    def build(self, kernel: Floats, bias: Floats | None) -> Step:
        """The operator with another kernel and bias, as the steps that replace its nodes."""
        node, name = self.nodes[0], self.names
        weight = Weights(array=_to_weight(self.kind, kernel, node), name=name[0], dtype=self.dtype)
        offset = () if bias is None else (Weights(array=bias, name=name[1], dtype=self.dtype),)
        if self.kind == "MatMul":
            product = Step(op_type="MatMul", inputs=(self.x, weight), shape=self.y.shape)
            return Step(op_type="Add", inputs=(product, *offset), shape=self.y.shape) if offset else product
        attributes = attributes_of(node)
        if self.kind == "Gemm":
            attributes = {"transB": attributes.get("transB", 0)}
        return Step(op_type=self.kind, inputs=(self.x, weight, *offset), attributes=attributes, shape=self.y.shape)


def read_linear(node: ir.Node) -> LinearOp | None:
    """The linear operator that starts at `node`, None where it is none of these; declines weights it cannot read."""
    if not is_standard(node) or node.op_type not in LINEAR_TYPES:
        return None
    x, weight = node.inputs[0], node.inputs[1]
    if x is None or weight is None or is_constant(x):
        return None
    if node.op_type == "ConvTranspose":
        auto = node.attributes.get_string("auto_pad", "NOTSET")
        if auto not in ("NOTSET", "VALID") or "output_shape" in node.attributes:
            raise Decline("the ConvTranspose pads by the output size it is asked for")
    kernel = _to_kernel(node, weight_array(weight))
    nodes, bias_value = _bias(node, kernel.shape[0] * kernel.shape[1])
    bias = (
        None if bias_value is None else _one_per_output(weight_array(bias_value), kernel) * _coefficient(node, "beta")
    )
    stem = weight.name or f"{node.outputs[0].name}.weight"
    bias_name = (bias_value.name if bias_value is not None else None) or stem.removesuffix(".weight") + ".bias"
    return LinearOp(
        nodes=nodes,
        x=x,
        y=nodes[-1].outputs[0],
        kernel=kernel,
        bias=bias,
        names=(stem, bias_name),
        dtype=constant_array(weight).dtype,
    )


def linear_ending_at(value: ir.Value) -> LinearOp | None:
    """The linear operator whose result `value` is, the bias of a MatMul included."""
    start = linear_start(value)
    op = None if start is None else read_linear(start)
    return op if op is not None and op.y is value else None


def linear_start(value: ir.Value) -> ir.Node | None:
    """The first node of the linear operator that may end at `value`; reads no constants."""
    producer = value.producer()
    if producer is None or not is_standard(producer):
        return None
    if producer.op_type == "Add" and any(is_constant(operand) for operand in producer.inputs):
        before = (operand.producer() for operand in producer.inputs if operand is not None)
        return next((node for node in before if node is not None and node.op_type == "MatMul"), None)
    return producer if producer.op_type in LINEAR_TYPES else None


def _coefficient(node: ir.Node, name: str) -> float:
    return float(np.float32(node.attributes.get_float(name, 1.0))) if node.op_type == "Gemm" else 1.0


def _bias(node: ir.Node, outputs: int) -> tuple[tuple[ir.Node, ...], ir.Value | None]:
    """The nodes of the operator and its bias, looking for the Add after a MatMul."""
    if node.op_type != "MatMul":
        return (node,), node.inputs[2] if len(node.inputs) > 2 else None
    product = node.outputs[0]
    readers = product.consumers()
    if len(readers) != 1 or product.is_graph_output() or readers[0].op_type != "Add" or readers[0].domain:
        return (node,), None
    add = readers[0]
    other = add.inputs[1] if add.inputs[0] is product else add.inputs[0]
    if other is None or not is_constant(other) or other.is_graph_input():
        return (node,), None
    shape = constant_array(other).shape
    return ((node, add), other) if shape == (outputs,) else ((node,), None)


def _one_per_output(bias: Floats, kernel: Floats) -> Floats:
    """The bias [out]; a Gemm takes whatever broadcasts, one number for all or one a row too."""
    outputs = kernel.shape[0] * kernel.shape[1]
    if bias.size > 1 and (bias.size != outputs or bias.shape[-1] != outputs):
        raise Decline(f"the bias of the Gemm, of shape {bias.shape}, is not one number an output")
    return np.broadcast_to(bias.reshape(-1), (outputs,))


def _to_kernel(node: ir.Node, weight: Floats) -> Floats:
    groups = node.attributes.get_int("group", 1)
    if node.op_type == "Conv":
        return weight.reshape(groups, -1, *weight.shape[1:])
    if node.op_type == "ConvTranspose":
        return weight.reshape(groups, -1, *weight.shape[1:]).swapaxes(1, 2)
    if weight.ndim != 2:
        raise Decline(f"the weight of {node.op_type} has rank {weight.ndim}")
    if node.attributes.get_int("transA"):
        raise Decline("the Gemm transposes its input")
    transposed = node.op_type == "Gemm" and bool(node.attributes.get_int("transB"))
    return (weight if transposed else weight.T)[None] * _coefficient(node, "alpha")


def _to_weight(kind: str, kernel: Floats, node: ir.Node) -> Floats:
    if kind == "Conv":
        return kernel.reshape(-1, *kernel.shape[2:])
    if kind == "ConvTranspose":
        return kernel.swapaxes(1, 2).reshape(-1, kernel.shape[1], *kernel.shape[3:])
    transposed = kind == "Gemm" and bool(node.attributes.get_int("transB"))
    matrix: Floats = kernel[0]
    return matrix if transposed else matrix.T
