"""The form of a graph that runs fastest on ONNX Runtime's CPU provider. What each step gains is in docs/speed.md.

ONNX Runtime lays maps out in blocks of channels around its convolutions, adds and rectifies in them for nothing, and
converts back and forth at every other operator: so convolutions should follow each other directly, in whole blocks, and
everything between them should be few nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from edgevision.ops.recorder import OPSET
from edgevision.passes.attach_bodies import attach_bodies
from edgevision.passes.conv_of_concat import conv_of_concat
from edgevision.passes.depthwise_blocks import depthwise_blocks
from edgevision.passes.functions_as_tables import functions_as_tables
from edgevision.passes.fuse_channel_norm import fuse_channel_norm
from edgevision.passes.fuse_projected_scan import fuse_projected_scan
from edgevision.passes.fuse_response_norm import fuse_response_norm
from edgevision.passes.fuse_wavelet_conv import fuse_wavelet_conv
from edgevision.passes.graph_pass import PassResult
from edgevision.passes.large_depthwise import large_depthwise
from edgevision.passes.mean_as_pool import mean_as_pool
from edgevision.passes.norms_in_integers import norms_in_integers
from edgevision.passes.pad_channels import pad_channels
from edgevision.passes.response_norms_in_integers import response_norms_in_integers
from edgevision.passes.slice_of_conv import slice_of_conv
from edgevision.passes.split_as_slices import split_as_slices
from edgevision.passes.sum_of_groups import sum_of_groups
from edgevision.passes.unpack_shifts import unpack_shifts

__all__ = ["lower", "lower_integers"]

_Step = Callable[[ir.Model], PassResult]

#: Put fused operators in, whose kernels are in our library; their bodies would gain nothing. Of the last ones one looks
#: for the Relu that `conv_of_concat` leaves behind, and one takes convolutions that others would change.
_FUSED_FIRST: tuple[_Step, ...] = (fuse_projected_scan, fuse_channel_norm, fuse_response_norm)
_FUSED_LAST: tuple[_Step, ...] = (fuse_wavelet_conv, large_depthwise)
#: What lies between quantized tensors, on the integers themselves: for graphs with Q/DQ pairs.
_INTEGER: tuple[_Step, ...] = (functions_as_tables, norms_in_integers, response_norms_in_integers)
#: In this order: slices are what the others look for, and a concatenation is distributed once its parts have their form.
_STANDARD: tuple[_Step, ...] = (
    unpack_shifts,
    split_as_slices,
    depthwise_blocks,
    conv_of_concat,
    slice_of_conv,
    pad_channels,
    mean_as_pool,
    sum_of_groups,
)


def lower(model: ir.Model, *, kernels: bool) -> Mapping[str, int]:
    """Change `model` in place; returns how often each step applied.

    Args:
        model: custom nodes carry bodies.
        kernels: whether our kernel library will be loaded.
    """
    fuse = kernels and model.opset_imports.get("", 0) >= OPSET
    steps = (*_FUSED_FIRST, *_STANDARD, *_FUSED_LAST, *_INTEGER) if fuse else _STANDARD
    counts: dict[str, int] = {}
    for application in (one for step in steps for one in step(model).applied):
        counts[application.equation] = counts.get(application.equation, 0) + 1
    if counts.keys() & {step.__name__ for step in (*_FUSED_FIRST, *_FUSED_LAST, *_INTEGER)}:
        attach_bodies(model)
    return counts


def lower_integers(model: ir.Model) -> None:
    """Of `lower`, what it does to a graph with Q/DQ pairs that has its form otherwise; our kernels will be loaded."""
    if any([step(model).modified for step in (large_depthwise, *_INTEGER)]):  # noqa: C419 - each of them is to run
        attach_bodies(model)
