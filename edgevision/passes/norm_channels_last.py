"""EvChannelNorm over rows of channels, for maps that lie channels last.

    norm(x) = Transpose(Reshape(norm(Reshape(xt, [B H W, C, 1])), [B, H, W, C])),  xt = x with channels last

ONNX Runtime runs quantized convolutions channels last and pushes that layout through what it knows, but not through an
operator of ours, which therefore stands between two transposes of its own. Here they are spelled out, and meet those of
the convolutions. For float graphs, whose maps lie in blocks of channels, it does not pay.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgevision.ops.operator import DOMAIN
from edgevision.passes.attach_bodies import attach_bodies
from edgevision.passes.graph_pass import PassResult
from edgevision.passes.rewriting import rewrite_all
from edgevision.reparam.rewrite import Rewrite, Step, Weights

__all__ = ["norm_channels_last"]


def norm_channels_last(model: ir.Model) -> PassResult:
    """Rewrite every ungated norm of maps whose result a convolution reads, in place."""
    result = rewrite_all(model, _equation)
    if result.modified:
        attach_bodies(model)
    return result


def _equation(node: ir.Node) -> Rewrite | None:
    if (node.domain, node.op_type) != (DOMAIN, "EvChannelNorm") or any(node.inputs[3:]):
        return None
    x, weight, bias = node.inputs[:3]
    if x is None or weight is None or bias is None or x.shape is None or weight.shape is None or len(x.shape) != 4:
        return None
    sizes = [size for size in x.shape if isinstance(size, int)]
    if len(sizes) != 4 or sizes[1] != weight.shape[0]:
        return None
    if not any(use.node.op_type == "Conv" for use in node.outputs[0].uses()):
        return None
    batch, channels, height, width = sizes
    last = Step(op_type="Transpose", inputs=(x,), attributes={"perm": (0, 2, 3, 1)})
    rows = _reshaped(last, [batch * height * width, channels, 1], "rows_of_channels")
    norm = Step(
        op_type="EvChannelNorm",
        inputs=(rows, weight, bias),
        attributes={name: attribute.value for name, attribute in node.attributes.items()},
        shape=rows.shape,
        domain=DOMAIN,
    )
    maps = _reshaped(norm, [batch, height, width, channels], "maps_of_channels")
    new = Step(op_type="Transpose", inputs=(maps,), attributes={"perm": (0, 3, 1, 2)}, shape=node.outputs[0].shape)
    return Rewrite(equation="norm_channels_last", old=(node,), new=new, probes={})


def _reshaped(step: Step, shape: list[int], name: str) -> Step:
    target = Weights(array=np.asarray(shape, np.int64), name=name, dtype=np.dtype(np.int64))
    return Step(op_type="Reshape", inputs=(step, target), shape=ir.Shape(shape))
