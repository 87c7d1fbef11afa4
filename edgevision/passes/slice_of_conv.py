"""Slice(Conv(x; W, b), channels i to j) = Conv(x; W[i:j], b[i:j]).

Two convolutions write their parts where they are wanted, instead of one whose result is copied apart.
"""

from __future__ import annotations

import onnx_ir as ir

from edgevision.passes.convolution import read_convolution
from edgevision.passes.graph_pass import PassResult
from edgevision.passes.rewriting import rewrite_all
from edgevision.passes.slices import read_channels
from edgevision.reparam.rewrite import Rewrite

__all__ = ["slice_of_conv"]

#: A part narrower than a vector register costs as much as a whole one.
_NARROWEST = 16


def slice_of_conv(model: ir.Model) -> PassResult:
    """Give every channel slice of a convolution a convolution of its own, in place."""
    return rewrite_all(model, _equation)


def _equation(node: ir.Node) -> Rewrite | None:
    part = read_channels(node)
    conv = None if part is None else read_convolution(part.x.producer())
    if part is None or conv is None or conv.group != 1 or part.x.is_graph_output():
        return None
    readers = [read_channels(use.node) for use in part.x.uses()]
    if any(reader is None or reader.end - reader.start < _NARROWEST for reader in readers):
        return None
    channels = slice(part.start, part.end)
    new = conv.step(conv.x, conv.weight[channels], conv.bias[channels])
    return Rewrite(equation="slice_of_conv", old=(conv.node, node), new=new, probes={})
