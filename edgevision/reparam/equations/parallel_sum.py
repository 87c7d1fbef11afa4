"""Parallel linear branches that read one map become one convolution.

    sum_i (W_i * x + b_i)  =  (sum_i E(W_i)) * x + sum_i b_i

E embeds a kernel into the common grid of offsets (`conv_kernel`): a smaller kernel is surrounded by zeros, a dilated one
spread out, a grouped one laid block-diagonally, padding aligned at the first tap. Branches are Conv, AveragePool,
per-channel affines and the map itself (a residual becomes the centre tap). Operands of the sum that read another map
stay, added to the merged one.

Declines: branches of different stride, channels or output size; a branch with another reader; a pool or padding that is
not shift-invariant; a merged kernel dearer than its branches (`pricing`), such as 1x1 dense + 13x13 depthwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevision.passes.graph_pass import Declined
from edgevision.reparam.affine import ChannelAxis
from edgevision.reparam.branches import Leaf, SumTree, map_read_by, read_kernel, sum_trees
from edgevision.reparam.conv_kernel import ConvKernel, sum_kernels
from edgevision.reparam.equations import Equation
from edgevision.reparam.matching import Decline, constant_array, labels, removable
from edgevision.reparam.pricing import price_of_add, price_of_affine, price_of_kernel
from edgevision.reparam.probing import probe_sizes, static_sizes
from edgevision.reparam.rewrite import Rewrite, Step, Weights

__all__ = ["EQUATION"]

_NAME = "parallel_sum"


@dataclass(frozen=True, kw_only=True)
class _Branch:
    """One or more leaves of a sum, as one kernel."""

    leaves: tuple[Leaf, ...]
    kernel: ConvKernel
    price: float


def _find(graph: ir.Graph) -> Iterator[Rewrite | Declined]:
    for tree in sum_trees(graph):
        for source, leaves in _groups(tree):
            if tree.root.graph is None:
                break
            where = labels((*_operators(leaves, source), tree.root))
            branches: list[_Branch] = []
            for leaf, read in _read_all(leaves, source):
                if isinstance(read, Decline):
                    yield Declined(
                        where=labels((*_operators((leaf,), source), tree.root)), equation=_NAME, reason=read.reason
                    )
                else:
                    branches.append(read)
            if len(branches) < 2:
                continue
            try:
                merged = _cheapest(branches, static_sizes(source))
                yield _rewrite(tree, source, merged)
            except Decline as no:
                yield Declined(where=where, equation=_NAME, reason=no.reason)


def _groups(tree: SumTree) -> Iterator[tuple[ir.Value, tuple[Leaf, ...]]]:
    """Leaves by the map they read; a leaf that is that map belongs to it."""
    sources = [map_read_by(leaf) for leaf in tree.leaves]
    for source in dict.fromkeys(source for source in sources if source is not None):
        members = tuple(
            leaf for leaf, read in zip(tree.leaves, sources, strict=True) if read is source or leaf.value is source
        )
        if len(members) > 1:
            yield source, members


def _operators(leaves: tuple[Leaf, ...], source: ir.Value) -> tuple[ir.Node, ...]:
    nodes = (leaf.value.producer() for leaf in leaves if leaf.value is not source)
    return tuple(dict.fromkeys(node for node in nodes if node is not None))


def _read_all(leaves: tuple[Leaf, ...], source: ir.Value) -> Iterator[tuple[Leaf, _Branch | Decline]]:
    axis = _axis(leaves, source)
    for leaf in leaves:
        try:
            kernel = None if axis is None else read_kernel(leaf.value, source, axis)
            if kernel is None:
                continue
            if leaf.value is not source:
                removable(leaf.value, leaf.reader)
        except Decline as no:
            yield leaf, no
            continue
        signed = kernel.negated() if leaf.negative else kernel
        yield leaf, _Branch(leaves=(leaf,), kernel=signed, price=_price(leaf, source, kernel))


def _axis(leaves: tuple[Leaf, ...], source: ir.Value) -> ChannelAxis | None:
    """Channels and rank of the map, from a convolution that reads it or from its shape."""
    for node in _operators(leaves, source):
        weight = node.inputs[1] if node.op_type == "Conv" else None
        tensor = None if weight is None else ir.convenience.get_const_tensor(weight)
        if tensor is not None:
            shape = tuple(int(size) for size in tensor.shape)
            channels = shape[1] * node.attributes.get_int("group", 1)
            return ChannelAxis(channels=channels, from_end=1 - len(shape), rank=len(shape))
    shape = None if source.shape is None else tuple(source.shape)
    if shape is None or len(shape) < 3 or not isinstance(shape[1], int):
        return None
    return ChannelAxis(channels=shape[1], from_end=1 - len(shape), rank=len(shape))


def _price(leaf: Leaf, source: ir.Value, kernel: ConvKernel) -> float:
    node = leaf.value.producer()
    if leaf.value is source:
        return 0.0
    if node is not None and node.op_type in ("Conv", "AveragePool"):
        return price_of_kernel(kernel)
    return price_of_affine(kernel.outputs)


def _cheapest(branches: list[_Branch], sizes: tuple[int, ...] | None) -> _Branch:
    """All branches as one where that pays, else the largest saving found by merging two at a time."""
    reasons: list[str] = []

    def merge(parts: tuple[_Branch, ...]) -> _Branch | None:
        try:
            kernel = sum_kernels([part.kernel for part in parts], sizes)
        except Decline as no:
            reasons.append(no.reason)
            return None
        price = price_of_kernel(kernel)
        apart = sum(part.price for part in parts) + (len(parts) - 1) * price_of_add(kernel.outputs)
        if price > apart:
            reasons.append(f"merged it would cost {price / apart:.1f} times as much as apart")
            return None
        return _Branch(leaves=tuple(leaf for part in parts for leaf in part.leaves), kernel=kernel, price=price)

    whole = merge(tuple(branches))
    if whole is not None:
        return whole
    parts = list(branches)
    while len(parts) > 1:
        pairs = [(a, b, merge((a, b))) for a, b in itertools.combinations(parts, 2)]
        found = [(a.price + b.price - both.price, a, b, both) for a, b, both in pairs if both is not None]
        if not found:
            break
        _, a, b, both = max(found, key=lambda option: option[0])
        parts = [*(part for part in parts if part is not a and part is not b), both]
    merged = [part for part in parts if len(part.leaves) > 1]
    if not merged:
        raise Decline(reasons[0])
    return merged[0]


def _rewrite(tree: SumTree, source: ir.Value, merged: _Branch) -> Rewrite:
    kernel, output = merged.kernel, tree.root.outputs[0]
    operators = _operators(merged.leaves, source)
    weight_name, bias_name, dtype = _naming(operators, output)
    weights = [Weights(array=kernel.weight, name=weight_name, dtype=dtype)]
    if kernel.bias.any():
        weights.append(Weights(array=kernel.bias, name=bias_name, dtype=dtype))
    like = merged.leaves[0].value
    new = Step(op_type="Conv", inputs=(source, *weights), attributes=_attributes(kernel), like=like)
    sizes = probe_sizes(kernel, static_sizes(source))
    counts = tuple((n + k) // s + 1 for n, k, s in zip(sizes, kernel.slack, kernel.strides, strict=True))
    probes = {source: (1, kernel.inputs, *sizes)}
    for leaf in tree.leaves:
        if leaf not in merged.leaves:
            new = Step(op_type="Sub" if leaf.negative else "Add", inputs=(new, leaf.value), like=output)
            probes.setdefault(leaf.value, (1, kernel.outputs, *counts))
    return Rewrite(equation=_NAME, old=(*operators, *tree.nodes), new=new, probes=probes)


def _attributes(kernel: ConvKernel) -> dict[str, int | tuple[int, ...]]:
    return {
        "kernel_shape": kernel.taps,
        "strides": kernel.strides,
        "dilations": kernel.dilations,
        "pads": (*kernel.begin, *kernel.end),
        "group": kernel.groups,
    }


def _naming(operators: tuple[ir.Node, ...], output: ir.Value) -> tuple[str, str, np.dtype[np.generic]]:
    """Names and type of the merged weights: those of the largest convolution among the branches."""
    weights = [node.inputs[1] for node in operators if node.op_type == "Conv" and node.inputs[1] is not None]
    if weights:
        largest = max(
            (constant_array(weight) for weight in weights if weight is not None), key=lambda array: array.size
        )
        name = next(w.name for w in weights if w is not None and constant_array(w).size == largest.size)
        stem = (name or f"{output.name}.weight").removesuffix(".weight")
        return name or f"{stem}.weight", f"{stem}.bias", largest.dtype
    if output.dtype not in (ir.DataType.FLOAT, ir.DataType.DOUBLE):
        raise Decline(f"the sum is {output.dtype.name.lower() if output.dtype else 'of unknown type'}, not float32")
    return f"{output.name}.weight", f"{output.name}.bias", np.dtype(output.dtype.numpy())


EQUATION = Equation(name=_NAME, rank=30, find=_find)
