"""Layer norms between two quantized tensors as one EvIntegerNorm.

    QuantizeLinear(norm(DequantizeLinear(q))) = rounded(norm'(q))

norm' has epsilon / s_x^2, weight / s_y and bias / s_y + z_y: a norm takes shift and scale of its argument out again. It is
recognised as LayerNormalization over the last axis, as EvChannelNorm of maps, and as EvChannelNorm of rows of channels in
the midst of the reshapes and transposes that `norm_channels_last` writes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES
from edgevision.passes.convolution import produced_by
from edgevision.passes.graph_pass import PassResult
from edgevision.passes.quantization_span import span_of
from edgevision.passes.rewriting import rewrite_all
from edgevision.reparam.rewrite import Rewrite, Step, Weights

__all__ = ["norms_in_integers"]

_LAST, _FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


@dataclass(frozen=True, kw_only=True)
class _Norm:
    """A norm of x over its last axis, or over axis 1 of four where `maps`."""

    x: ir.Value
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    epsilon: float
    maps: bool


def norms_in_integers(model: ir.Model) -> PassResult:
    """Replace every such place of the main graph, in place."""
    return rewrite_all(model, _equation)


def _equation(node: ir.Node) -> Rewrite | None:
    if node.op_type != "QuantizeLinear" or node.domain:
        return None
    after, norm = span_of(node), _norm(node.inputs[0])
    source = None if norm is None else produced_by(norm.x, "DequantizeLinear")
    before = None if source is None else span_of(source)
    q = None if source is None else source.inputs[0]
    if norm is None or after is None or before is None or q is None or q.shape is None or before.kind != after.kind:
        return None
    if len(q.shape) != 4 and norm.maps:
        return None
    dtype, name = np.dtype(np.float32), f"{node.outputs[0].name}"
    weight = Weights(array=norm.weight / after.scale, name=f"{name}_weight", dtype=dtype)
    bias = Weights(array=norm.bias / after.scale + after.zero, name=f"{name}_bias", dtype=dtype)
    attributes: dict[str, float | str] = {"epsilon": norm.epsilon / before.scale**2, **PLUGIN_ATTRIBUTES}
    turned = ir.Shape([q.shape[i] for i in _LAST]) if norm.maps else q.shape
    x = Step(op_type="Transpose", inputs=(q,), attributes={"perm": _LAST}, shape=turned) if norm.maps else q
    new = Step(op_type="EvIntegerNorm", inputs=(x, weight, bias), attributes=attributes, shape=turned, domain=DOMAIN)
    if norm.maps:
        new = Step(op_type="Transpose", inputs=(new,), attributes={"perm": _FIRST}, shape=q.shape)
    return Rewrite(equation="norms_in_integers", old=(node,), new=new, probes={})


def _norm(value: ir.Value | None) -> _Norm | None:
    """The norm that writes `value`."""
    node = None if value is None else value.producer()
    if node is None or value is None:
        return None
    if node.op_type == "LayerNormalization" and node.attributes.get_int("axis", -1) == -1:
        return _read(node, node.inputs[0], maps=False)
    if (node.domain, node.op_type) == (DOMAIN, "EvChannelNorm"):
        return _read(node, node.inputs[0], maps=True)
    inner, x = _of_rows(value)
    return None if inner is None else _read(inner, x, maps=True)


def _of_rows(value: ir.Value) -> tuple[ir.Node | None, ir.Value | None]:
    """EvChannelNorm of [rows, channels, 1] between reshapes and transposes, and the maps it is of."""
    back = _turned(value, _FIRST)
    maps = produced_by(back, "Reshape")
    node = None if maps is None or maps.inputs[0] is None else maps.inputs[0].producer()
    if node is None or (node.domain, node.op_type) != (DOMAIN, "EvChannelNorm"):
        return None, None
    rows, weight = produced_by(node.inputs[0], "Reshape"), node.inputs[1]
    last = None if rows is None else rows.inputs[0]
    x = _turned(last, _LAST)
    if rows is None or x is None or weight is None or weight.shape is None or x.shape != value.shape:
        return None, None
    shape = rows.outputs[0].shape
    whole = shape is not None and len(shape) == 3 and shape[1] == weight.shape[0] and shape[2] == 1
    return (node, x) if whole and x.shape is not None and x.shape[1] == weight.shape[0] else (None, None)


def _turned(value: ir.Value | None, perm: tuple[int, ...]) -> ir.Value | None:
    node = produced_by(value, "Transpose")
    return node.inputs[0] if node is not None and tuple(node.attributes.get_ints("perm", ())) == perm else None


def _read(node: ir.Node, x: ir.Value | None, *, maps: bool) -> _Norm | None:
    """The norm with its constants; None where it has groups, a gate or weights that are computed."""
    weight, bias = _constant(node, 1), _constant(node, 2)
    if x is None or x.shape is None or weight is None or any(node.inputs[3:]):
        return None
    if bias is None and any(node.inputs[2:]):
        return None
    if x.shape[1 if maps else -1] != len(weight) or weight.ndim != 1:
        return None
    zeros = np.zeros(len(weight))
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    return _Norm(x=x, weight=weight, bias=zeros if bias is None else bias, epsilon=epsilon, maps=maps)


def _constant(node: ir.Node, index: int) -> NDArray[np.float64] | None:
    value = node.inputs[index] if index < len(node.inputs) else None
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy().astype(np.float64)
