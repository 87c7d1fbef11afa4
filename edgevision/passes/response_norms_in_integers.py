"""EvResponseNorm between two quantized tensors as one EvIntegerResponseNorm.

    QuantizeLinear(response(gelu(DequantizeLinear(q)))) = response'(table[q]),  table[i] = gelu(DequantizeLinear(i))

It works channels last, as quantized convolutions do: ONNX Runtime pushes that layout through no operator of ours, so its
transposes are spelled out and meet those of the convolutions.
"""

from __future__ import annotations

from math import erf

import numpy as np
import onnx_ir as ir

from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES
from edgevision.passes.convolution import produced_by
from edgevision.passes.graph_pass import PassResult
from edgevision.passes.quantization_span import span_of
from edgevision.passes.rewriting import rewrite_all
from edgevision.reparam.matching import Floats
from edgevision.reparam.rewrite import Rewrite, Step, Weights

__all__ = ["response_norms_in_integers"]

_LAST, _FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


def response_norms_in_integers(model: ir.Model) -> PassResult:
    """Replace every such place of the main graph, in place."""
    return rewrite_all(model, _equation)


def _equation(node: ir.Node) -> Rewrite | None:
    if node.op_type != "QuantizeLinear" or node.domain:
        return None
    norm = None if node.inputs[0] is None else node.inputs[0].producer()
    if norm is None or (norm.domain, norm.op_type) != (DOMAIN, "EvResponseNorm"):
        return None
    source, gamma = produced_by(norm.inputs[0], "DequantizeLinear"), norm.inputs[1]
    after, before = span_of(node), None if source is None else span_of(source)
    q = None if source is None else source.inputs[0]
    if after is None or before is None or q is None or q.shape is None or gamma is None or before.kind != after.kind:
        return None
    g = before.values()
    if norm.attributes.get_int("gelu", 0):
        g = _gelu(g)
    table = Weights(array=g, name=f"{node.outputs[0].name}_table", dtype=np.dtype(np.float32))
    turned = ir.Shape([q.shape[i] for i in _LAST])
    new = Step(
        op_type="EvIntegerResponseNorm",
        inputs=(Step(op_type="Transpose", inputs=(q,), attributes={"perm": _LAST}, shape=turned), table, gamma),
        attributes={
            "epsilon": norm.attributes.get_float("epsilon", 1e-6),
            "scale": after.scale,
            "zero_point": after.zero,
            **PLUGIN_ATTRIBUTES,
        },
        shape=turned,
        domain=DOMAIN,
    )
    back = Step(op_type="Transpose", inputs=(new,), attributes={"perm": _FIRST}, shape=q.shape)
    return Rewrite(equation="response_norms_in_integers", old=(node,), new=back, probes={})


def _gelu(x: Floats) -> Floats:
    result: Floats = x * 0.5 * (1 + np.vectorize(erf, otypes=[np.float64])(x / np.sqrt(2)))
    return result
