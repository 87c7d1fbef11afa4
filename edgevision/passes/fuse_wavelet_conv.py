"""A depthwise convolution between a wavelet transform and its inverse, with the sum and the Relu behind, as one node.

    [Relu] [Add r] EvIDWT Reshape Conv_k Reshape EvDWT(x)  =  EvWaveletConv(x, ..., r)

for filters of two taps, one set a channel, in mode zero, and maps whose sub-bands the kernel can hold on its stack.
"""

from __future__ import annotations

import onnx_ir as ir

from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES
from edgevision.passes.convolution import Convolution, only_reader, produced_by, read_convolution
from edgevision.passes.graph_pass import PassResult
from edgevision.passes.rewriting import rewrite_all
from edgevision.reparam.rewrite import Rewrite, Step

__all__ = ["fuse_wavelet_conv"]

#: What the kernel holds: taps of one filter, pixels of a row of the image, pixels of all bands with their borders.
_MOST_TAPS, _WIDEST, _MOST_PIXELS = 7, 64, 2048


def fuse_wavelet_conv(model: ir.Model) -> PassResult:
    """Fuse every such convolution, in place."""
    return rewrite_all(model, _equation)


def _equation(inverse: ir.Node) -> Rewrite | None:
    if not _ours(inverse, "EvIDWT"):
        return None
    apart = produced_by(inverse.inputs[0], "Reshape")
    conv = None if apart is None else read_convolution(_producer(apart.inputs[0]))
    together = None if conv is None else produced_by(conv.x, "Reshape")
    forward = None if together is None else _producer(together.inputs[0])
    if apart is None or conv is None or together is None or forward is None or not _ours(forward, "EvDWT"):
        return None
    x, y = forward.inputs[0], inverse.outputs[0]
    chain = (forward, together, conv.node, apart)
    if x is None or x.shape is None or x.shape != y.shape or not all(only_reader(n.outputs[0]) for n in chain):
        return None
    if not _fits(x.shape, conv, forward.inputs[1], inverse.inputs[1]):
        return None
    residual, after = _added(y)
    end = (inverse, *after)[-1].outputs[0]
    relu = only_reader(end)
    rectified = relu is not None and relu.op_type == "Relu" and relu.domain == ""
    old = (*chain, inverse, *after, *((relu,) if rectified and relu is not None else ()))
    operands = [x, forward.inputs[1], inverse.inputs[1], *conv.node.inputs[1:3]]
    if len(conv.node.inputs) < 3 and residual is not None:
        return None  # an absent input in the middle; convolutions have biases here
    operands += [] if residual is None else [residual]
    new = Step(
        op_type="EvWaveletConv",
        inputs=tuple(value for value in operands if value is not None),
        attributes={"relu": int(rectified), **PLUGIN_ATTRIBUTES},
        shape=x.shape,
        domain=DOMAIN,
    )
    return Rewrite(equation="fuse_wavelet_conv", old=old, new=new, probes={})


def _ours(node: ir.Node, op_type: str) -> bool:
    """The transform of that type in mode zero."""
    return node.domain == DOMAIN and node.op_type == op_type and node.attributes.get_string("mode", "zero") == "zero"


def _producer(value: ir.Value | None) -> ir.Node | None:
    return None if value is None else value.producer()


def _fits(shape: ir.Shape, conv: Convolution, forward: ir.Value | None, inverse: ir.Value | None) -> bool:
    """Whether the kernel takes maps of this shape, this convolution and these filters."""
    taps = conv.weight.shape[2]
    if not conv.depthwise or not conv.keeps_size or conv.weight.shape[2:] != (taps, taps):
        return False
    if taps % 2 == 0 or taps > _MOST_TAPS or any(d != 1 for d in conv.node.attributes.get_ints("dilations", [1])):
        return False
    wanted = (len(conv.weight), 1, 2, 2)
    if any(v is None or v.shape is None or tuple(v.shape) != wanted for v in (forward, inverse)):
        return False
    height, width = shape[2], shape[3]
    if not isinstance(height, int) or not isinstance(width, int) or width > _WIDEST:
        return False
    rows, columns = -(-height // 2), -(-width // 2)
    return bool(4 * rows * (-(-columns // 4) * 4 + taps - 1) <= _MOST_PIXELS)


def _added(y: ir.Value) -> tuple[ir.Value | None, tuple[ir.Node, ...]]:
    """What is added to y, and the Add."""
    add = only_reader(y)
    if add is None or add.op_type != "Add" or add.domain != "" or add.inputs[0] is add.inputs[1]:
        return None, ()
    other = add.inputs[1] if add.inputs[0] is y else add.inputs[0]
    if other is None or other.shape != y.shape or other.is_initializer():
        return None, ()
    return other, (add,)
