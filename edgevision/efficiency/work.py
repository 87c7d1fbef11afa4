"""The work of every kernel of a graph: multiply-accumulates, and the bytes it cannot avoid to move.

A kernel is a node that computes. Bytes are those of its inputs, its constants and its outputs, each once: what it moves
when nothing of it stays in a cache from the kernel before. Nodes that only rename (Reshape and its like) move nothing.
Quantize/dequantize pairs are no kernels either: what lies between them is what is stored, and its bytes are counted.

Multiply-accumulates (MACs) are exact for convolutions, matrix products and our own operators. Elementwise work counts
none, as is usual: such a kernel is bound by its bytes whatever the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from edgevision.errors import GraphError

__all__ = ["SEEN_THROUGH", "Kernel", "kernels_of", "stored_bytes"]

#: Nodes that change a tensor's shape or name, not its contents.
VIEWS = frozenset({"Constant", "Flatten", "Identity", "Reshape", "Shape", "Squeeze", "Unsqueeze"})
#: These and Q/DQ pairs.
SEEN_THROUGH = VIEWS | {"DequantizeLinear", "QuantizeLinear"}


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One node's work on one sample of the graph's batch.

    Attributes:
        precision: in which it multiplies: fp32, fp16, bf16 or int8.
        bytes: read and written, each tensor once.
    """

    name: str
    op: str
    precision: str
    macs: int
    bytes: int
    node: ir.Node

    @property
    def ops(self) -> int:
        """Arithmetic operations, two to a MAC."""
        return 2 * self.macs


def kernels_of(model: ir.Model) -> tuple[Kernel, ...]:
    """Every kernel in the graph's order.

    Raises:
        GraphError: a tensor's shape or type is not known, and inference does not find it.
    """
    return tuple(_kernel(node) for node in model.graph if node.op_type not in SEEN_THROUGH)


def stored_bytes(value: ir.Value) -> int:
    """Bytes of a tensor as it lies in memory: quantized where it is read, or only written, through a Q/DQ node."""
    constant = ir.convenience.get_const_tensor(value)
    if constant is not None:
        return constant.nbytes
    value = _stored(value)
    if value.dtype is None:
        raise GraphError(f"tensor {value.name}", "its type is unknown", "export it again")
    return math.ceil(math.prod(_sizes(value)) * value.dtype.bitwidth / 8)


def _stored(value: ir.Value) -> ir.Value:
    producer = value.producer()
    if producer is not None and producer.op_type == "DequantizeLinear":
        return producer.inputs[0] or value
    users = [node for node, _ in value.uses()]
    if users and all(node.op_type == "QuantizeLinear" for node in users) and not value.is_graph_output():
        return users[0].outputs[0]
    return value


def _kernel(node: ir.Node) -> Kernel:
    tensors = {id(v): v for v in (*node.inputs, *node.outputs) if v is not None and (v.name or v.uses())}
    macs = _MACS.get(node.op_type, _none)(node)
    first = next((v for v in node.inputs if v is not None), node.outputs[0])
    return Kernel(
        name=node.name or node.outputs[0].name or "",
        op=node.op_type,
        precision=_PRECISIONS.get(_stored(first).dtype or ir.DataType.FLOAT, "fp32"),
        macs=macs,
        bytes=sum(stored_bytes(v) for v in tensors.values()),
        node=node,
    )


_PRECISIONS: Mapping[ir.DataType, str] = {
    ir.DataType.FLOAT16: "fp16",
    ir.DataType.BFLOAT16: "bf16",
    ir.DataType.INT8: "int8",
    ir.DataType.UINT8: "int8",
}


def _sizes(value: ir.Value | None) -> Sequence[int]:
    shape = None if value is None else value.shape
    if shape is None or not all(isinstance(size, int) for size in shape):
        name = "" if value is None else value.name
        raise GraphError(f"tensor {name}", "its shape is unknown", "export it with a static shape")
    return [int(size) for size in shape]  # type: ignore[arg-type]


def _none(_node: ir.Node) -> int:
    return 0


def _conv(node: ir.Node) -> int:
    """Every output element meets the taps of the channels of its group."""
    return math.prod(_sizes(node.outputs[0])) * math.prod(_sizes(node.inputs[1])[1:])


def _conv_transpose(node: ir.Node) -> int:
    """Every input element meets the taps of the outputs of its group."""
    return math.prod(_sizes(node.inputs[0])) * math.prod(_sizes(node.inputs[1])[1:])


def _matmul(node: ir.Node) -> int:
    return math.prod(_sizes(node.outputs[0])) * _sizes(node.inputs[0])[-1]


def _gemm(node: ir.Node) -> int:
    return math.prod(_sizes(node.outputs[0])) * _sizes(node.inputs[0])[0 if node.attributes.get_int("transA", 0) else 1]


def _einsum(node: ir.Node) -> int:
    """Every combination of the letters once, for two operands; an ellipsis is not counted."""
    terms = node.attributes.get_string("equation", "").replace(" ", "").split("->")[0].split(",")
    letters: dict[str, int] = {}
    for term, value in zip(terms, node.inputs, strict=True):
        letters.update(zip(term.replace("...", ""), _sizes(value), strict=False))
    return math.prod(letters.values()) if len(terms) > 1 else 0


def _scan(node: ir.Node) -> int:
    """Two for each state and step: the update and what is read out."""
    return 2 * math.prod(_sizes(node.inputs[1])) * _sizes(node.inputs[2])[1]


def _dwt(node: ir.Node) -> int:
    return math.prod(_sizes(node.outputs[0])) * math.prod(_sizes(node.inputs[1])[2:])


def _idwt(node: ir.Node) -> int:
    return math.prod(_sizes(node.inputs[0])) * math.prod(_sizes(node.inputs[1])[2:])


def _projected_scan(node: ir.Node) -> int:
    """The projections of x, the step sizes of every direction, and one state's recurrence."""
    batch, _, height, width = _sizes(node.inputs[0])
    projection, steps, states = (_sizes(node.inputs[i]) for i in (1, 2, 3))
    return batch * height * width * (math.prod(projection) + math.prod(steps) + 2 * math.prod(states))


def _wavelet_conv(node: ir.Node) -> int:
    """Two taps a side there and back, and the depthwise taps between, on four bands of a quarter of the pixels."""
    batch, _, height, width = _sizes(node.inputs[0])
    pixels = batch * math.ceil(height / 2) * math.ceil(width / 2)
    return pixels * sum(math.prod(_sizes(node.inputs[i])) for i in (1, 2, 3))


def _shift_conv(node: ir.Node) -> int:
    """A shift and an addition where a convolution multiplies and adds."""
    taps = node.attributes["kernel_shape"].as_ints() if "kernel_shape" in node.attributes else (1, 1)
    channels = _sizes(node.inputs[0])[1] // node.attributes.get_int("group", 1)
    return math.prod(_sizes(node.outputs[0])) * channels * math.prod(taps)


_MACS: Mapping[str, Callable[[ir.Node], int]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Einsum": _einsum,
    "EvDWT": _dwt,
    "EvDepthwiseConv": _conv,
    "EvIDWT": _idwt,
    "EvProjectedScan": _projected_scan,
    "EvSelectiveScan": _scan,
    "EvShiftConv": _shift_conv,
    "EvShiftLinear": _matmul,
    "EvWaveletConv": _wavelet_conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
}
