"""Parallel linear branches that read one map become one convolution.

    sum_i (W_i * x + b_i)  =  (sum_i E(W_i)) * x + sum_i b_i

E embeds a kernel into the common grid of offsets (`conv_kernel`): a smaller kernel is surrounded by zeros, a dilated
one spread out, a grouped one laid block-diagonally, padding aligned at the first tap. Branches are Conv, AveragePool,
ConvTranspose among themselves, per-channel affines and the map itself (a residual becomes the centre tap); on rows, Gemm
and MatMul; or a few of these in a row (`branch`). Operands of the sum that read another tensor stay, added to the merged
one.

Declines: branches of different stride, channels or output size; a branch with another reader; a pool or padding that is
not shift-invariant; a convolution beside a transposed one; a merged kernel dearer than its branches (`pricing`), such as
1x1 dense + 13x13 depthwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgevision.passes.graph_pass import Declined
from edgevision.reparam.branch import Branch, Chain, branch_of, read_chain
from edgevision.reparam.conv_kernel import conv_step, sum_kernels, summed_frame
from edgevision.reparam.equations import Equation
from edgevision.reparam.linear_path import Path, channel_axis, paths_to
from edgevision.reparam.matching import Decline, labels
from edgevision.reparam.padding import static_sizes
from edgevision.reparam.pricing import price_of_add, price_of_kernel
from edgevision.reparam.probing import probe_of, probe_sizes
from edgevision.reparam.rewrite import Rewrite, Step
from edgevision.reparam.sum_tree import SumTree, sum_trees

__all__ = ["EQUATION"]

_NAME = "parallel_sum"


def _find(graph: ir.Graph) -> Iterator[Rewrite | Declined]:
    for tree in sum_trees(graph):
        refused: set[int] = set()  # a leaf that must stay is named once, however many tensors it begins at
        for source, members in _groups(tree):
            if tree.root.graph is None:  # an earlier group has been merged: the rest of the tree is found again
                break
            chains: list[Chain] = []
            for index, read in _read(tree, source, {i: path for i, path in members.items() if i not in refused}):
                if isinstance(read, Chain):
                    chains.append(read)
                else:
                    refused.add(index)
                    yield _declined(tree, (members[index],), read)
            branches: list[Branch] = []
            for chain, composed in _compose(chains):
                if isinstance(composed, Branch):
                    branches.append(composed)
                else:
                    yield _declined(tree, (chain.path,), composed)
            if len(branches) < 2:
                continue
            try:
                yield _rewrite(tree, source, _cheapest(branches, static_sizes(source)))
            except Decline as no:
                yield _declined(tree, (chain.path for chain in chains), no)


def _declined(tree: SumTree, paths: Iterable[Path], no: Decline) -> Declined:
    operators = dict.fromkeys(node for path in paths for node in path.nodes)
    return Declined(where=labels((*operators, tree.root)), equation=_NAME, reason=no.reason)


def _groups(tree: SumTree) -> Iterator[tuple[ir.Value, dict[int, Path]]]:
    """Leaves, by number, that are linear functions of one tensor or are that tensor; the nearest tensors first.

    Leaves that have met at a nearer tensor are not looked at again at a further one, unless others join them there.
    """
    found: dict[ir.Value, dict[int, Path]] = {}
    for index, leaf in enumerate(tree.leaves):
        for path in (Path(source=leaf.value), *paths_to(leaf.value)):
            found.setdefault(path.source, {})[index] = path
    seen: list[set[int]] = []
    for source, members in sorted(found.items(), key=lambda group: sum(len(path.nodes) for path in group[1].values())):
        if len(members) > 1 and not any(members.keys() <= before for before in seen):
            seen.append(set(members))
            yield source, members


def _read(tree: SumTree, source: ir.Value, members: dict[int, Path]) -> Iterator[tuple[int, Chain | Decline]]:
    axis = channel_axis(source, members.values())
    for index, path in members.items():
        if axis is None:
            if source.shape is not None and source.shape.rank() > 2 and path.nodes:
                yield index, Decline(f"how many channels '{source.name}' has is not known")
            continue
        try:
            yield index, read_chain(tree.leaves[index], path, axis)
        except Decline as no:
            yield index, no


def _compose(chains: list[Chain]) -> Iterator[tuple[Chain, Branch | Decline]]:
    if len(chains) < 2:
        return
    budget = sum(chain.price for chain in chains) + (len(chains) - 1) * price_of_add(chains[0].axis.channels)
    for chain in chains:
        try:
            yield chain, branch_of(chain, budget)
        except Decline as no:
            yield chain, no


def _cheapest(branches: list[Branch], sizes: tuple[int, ...] | None) -> Branch:
    """All branches as one where that pays, else the largest saving found by merging two at a time."""
    reasons: list[str] = []

    def merge(parts: tuple[Branch, ...]) -> Branch | None:
        try:
            return _merge(parts, sizes)
        except Decline as no:
            reasons.append(no.reason)
            return None

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


def _merge(parts: tuple[Branch, ...], sizes: tuple[int, ...] | None) -> Branch:
    kernels = [part.kernel for part in parts]
    price = price_of_kernel(summed_frame(kernels, sizes))
    apart = sum(part.price for part in parts) + (len(parts) - 1) * price_of_add(kernels[0].outputs)
    if price > apart:
        raise Decline(f"merged it would cost {price / apart:.1f} times as much as apart")
    ops = [part.op for part in parts if part.op is not None]
    return Branch(
        leaves=tuple(leaf for part in parts for leaf in part.leaves),
        nodes=tuple(dict.fromkeys(node for part in parts for node in part.nodes)),
        kernel=sum_kernels(kernels, sizes),
        price=price,
        op=max(ops, key=lambda op: op.kernel.size) if ops else None,
        note="; ".join(filter(None, (part.note for part in parts))),
    )


def _rewrite(tree: SumTree, source: ir.Value, merged: Branch) -> Rewrite:
    output = tree.root.outputs[0]
    new, before, after = _on_rows(merged, source) if not merged.kernel.taps else _on_maps(merged, source, output)
    probes = {source: before}
    for leaf in tree.leaves:
        if leaf not in merged.leaves:
            new = Step(op_type="Sub" if leaf.negative else "Add", inputs=(new, leaf.value), shape=tree.common_shape)
            probes.setdefault(leaf.value, after)
    return Rewrite(equation=_NAME, old=(*merged.nodes, *tree.nodes), new=new, probes=probes, note=merged.note)


def _on_rows(merged: Branch, source: ir.Value) -> tuple[Step, tuple[int, ...], tuple[int, ...]]:
    """The merged Gemm or MatMul, and the shapes it is proven on."""
    kernel, op = merged.kernel, merged.op
    if op is None:
        raise Decline("no operand has a weight to merge the others into")
    bias = kernel.bias if kernel.bias.any() else None
    before = (*probe_of(op)[:-1], kernel.inputs)
    return replace(op, x=source).build(kernel.weight[None], bias), before, (*before[:-1], kernel.outputs)


def _on_maps(merged: Branch, source: ir.Value, output: ir.Value) -> tuple[Step, tuple[int, ...], tuple[int, ...]]:
    """The merged convolution, and the shapes it is proven on."""
    kernel = merged.kernel
    weight_name, bias_name, dtype = _naming(merged, output)
    like = next((leaf.value for leaf in merged.leaves if leaf.value is not source), source)
    sizes = probe_sizes(kernel, static_sizes(source))
    step = conv_step(kernel, source, (weight_name, bias_name), dtype, like.shape)
    return step, (1, kernel.inputs, *sizes), (1, kernel.outputs, *kernel.sizes(sizes))


def _naming(merged: Branch, output: ir.Value) -> tuple[str, str, np.dtype[np.generic]]:
    """Names and type of the merged weights: those of the largest convolution among the branches."""
    if merged.op is not None:
        return *merged.op.names, merged.op.dtype
    if output.dtype not in (ir.DataType.FLOAT, ir.DataType.DOUBLE):
        raise Decline(f"the sum is {output.dtype.name.lower() if output.dtype else 'of unknown type'}, not float32")
    return f"{output.name}.weight", f"{output.name}.bias", np.dtype(output.dtype.numpy())


EQUATION = Equation(name=_NAME, rank=30, find=_find)
