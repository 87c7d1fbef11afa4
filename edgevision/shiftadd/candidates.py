"""Which layers of a graph can be shifted: linear ones and 2-d convolutions whose weights are constants."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

__all__ = ["Candidate", "candidates", "label"]

_KINDS = ("MatMul", "Gemm", "Conv")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One layer that can be shifted.

    Attributes:
        name: of its node.
        node: the MatMul, Gemm or Conv.
        add: the Add after a MatMul that is its bias, None where there is none.
        weight: [N, K], one row per output, float64.
        bias: the constant added per output, None where there is none.
        macs: multiply-accumulates of one pass (one image where the batch is open), None where another dimension is.
        inputs, outputs: numbers that it reads besides weights, and writes, likewise.
        module: the PyTorch module it came from, as far as the graph says.
    """

    name: str
    node: ir.Node
    add: ir.Node | None
    weight: NDArray[np.float64]
    bias: ir.Value | None
    macs: int | None
    inputs: int | None
    outputs: int | None
    module: str

    @property
    def output(self) -> ir.Value:
        """What the layer hands on."""
        return (self.add or self.node).outputs[0]

    @property
    def linear(self) -> bool:
        """A linear layer, not a convolution."""
        return self.node.op_type != "Conv"


def candidates(model: ir.Model) -> tuple[list[Candidate], Mapping[str, str]]:
    """The layers that can be shifted, in order, and those that cannot, with the reason."""
    found: list[Candidate] = []
    declined: dict[str, str] = {}
    for node in model.graph:
        if node.domain or node.op_type not in _KINDS:
            continue
        reason = _why_not(node)
        if reason:
            declined[label(node)] = reason
        else:
            found.append(_candidate(node, _open_batch(model)))
    return found, declined


def label(node: ir.Node) -> str:
    """A node's name, or its first output's."""
    return node.name or str(node.outputs[0].name)


def _why_not(node: ir.Node) -> str:
    weight = _constant(node.inputs[1])
    if weight is None:
        return "both its operands are computed" if node.op_type == "MatMul" else "its weight is computed"
    if weight.dtype != np.float32:
        return f"its weight is {weight.dtype}, not float32"
    if node.op_type == "Conv":
        if weight.ndim != 4:
            return f"it is a convolution over {weight.ndim - 2} dimensions"
        if node.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", ""):
            return "its padding is left to the runtime"
    elif weight.ndim != 2:
        return f"its weight has {weight.ndim} dimensions"
    if node.op_type == "Gemm":
        scaled = [node.attributes.get_float(name, 1.0) != 1.0 for name in ("alpha", "beta")]
        if any(scaled) or node.attributes.get_int("transA", 0) != 0:
            return "its operands are scaled or transposed"
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None and not _is_bias(bias, len(_rows(node, weight))):
        return "its bias is not one constant per output"
    return ""


def _candidate(node: ir.Node, batch: str | None) -> Candidate:
    weight = _constant(node.inputs[1])
    assert weight is not None
    rows = _rows(node, weight)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    add = None
    if node.op_type == "MatMul":
        add, bias = _bias_after(node, len(rows))
    inputs, outputs = _elements(node.inputs[0], batch), _elements(node.outputs[0], batch)
    return Candidate(
        name=label(node),
        node=node,
        add=add,
        weight=np.asarray(rows, np.float64),
        bias=bias,
        macs=None if outputs is None else outputs * rows.shape[1],
        inputs=inputs,
        outputs=outputs,
        module=_module(node),
    )


def _open_batch(model: ir.Model) -> str | None:
    """What the open batch is called, None where it is fixed."""
    shape = model.graph.inputs[0].shape if model.graph.inputs else None
    return None if not shape or isinstance(shape[0], int) else str(shape[0])


def _elements(value: ir.Value | None, batch: str | None) -> int | None:
    """Of one image where the batch is open; None where another dimension is."""
    if value is None or value.shape is None:
        return None
    dims = [1 if i == 0 and batch is not None and str(d) == batch else d for i, d in enumerate(value.shape)]
    return math.prod(d for d in dims if isinstance(d, int)) if all(isinstance(d, int) for d in dims) else None


def _rows(node: ir.Node, weight: NDArray[np.generic]) -> NDArray[np.generic]:
    """[N, K]."""
    if node.op_type == "Conv":
        return weight.reshape(len(weight), -1)
    kept = node.op_type == "Gemm" and bool(node.attributes.get_int("transB", 0))
    return weight if kept else weight.T


def _bias_after(node: ir.Node, rows: int) -> tuple[ir.Node | None, ir.Value | None]:
    out = node.outputs[0]
    uses = list(out.uses())
    if len(uses) != 1 or out.is_graph_output() or uses[0].node.op_type != "Add" or uses[0].node.domain:
        return None, None
    add = uses[0].node
    other = add.inputs[1 - uses[0].idx]
    return (add, other) if other is not None and _is_bias(other, rows) else (None, None)


def _is_bias(value: ir.Value, rows: int) -> bool:
    tensor = _constant(value)
    return tensor is not None and tensor.shape == (rows,) and tensor.dtype == np.float32


def _constant(value: ir.Value | None) -> NDArray[np.generic] | None:
    """A constant's array; one that a caller may still change (a graph input) is none."""
    if value is None or value.is_graph_input():
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def _module(node: ir.Node) -> str:
    """`['', 'block1.0', 'block1.0.attn', 'linear']` as the exporter writes it -> `block1.0.attn`."""
    scopes = node.metadata_props.get("edgevision.module", "").strip("[] ").split(", ")
    return scopes[-2].strip("'") if len(scopes) > 1 else ""
