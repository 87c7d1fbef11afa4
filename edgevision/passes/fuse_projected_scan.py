"""A scan with its projections, the SiLU before them and the sum of directions behind, as one EvProjectedScan.

    u = [SiLU] Reshape(x);  dt, B, C = Split(Conv1d(u; W));  y = ReduceSum_k EvSelectiveScan(u, Conv1d_k(dt; V), A, B, C)

where u is read by nothing else, the convolutions are 1x1 without a bias, there is one state a channel, and Reshapes only
give a group its own axis. The weights W and V become the operator's `projection` and `steps`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES
from edgevision.passes.convolution import Convolution, only_reader, produced_by, read_convolution
from edgevision.passes.graph_pass import PassResult
from edgevision.passes.rewriting import rewrite_all
from edgevision.reparam.rewrite import Rewrite, Step, Weights

__all__ = ["fuse_projected_scan"]

#: Highest rank of the step sizes that the kernel takes.
_MOST_RANK = 128


def fuse_projected_scan(model: ir.Model) -> PassResult:
    """Fuse every such scan, in place."""
    return rewrite_all(model, _equation)


@dataclass(frozen=True, kw_only=True)
class _Projected:
    """What the step sizes, B and C of a scan come from."""

    rows: Convolution
    steps: Convolution
    nodes: tuple[ir.Node, ...]


def _equation(scan: ir.Node) -> Rewrite | None:
    if scan.op_type != "EvSelectiveScan" or scan.domain != DOMAIN or len(scan.inputs) < 7:
        return None
    u, delta, A, B, C, D, bias = scan.inputs[:7]
    gated = len(scan.inputs) > 7 and scan.inputs[7] is not None
    if gated or u is None or A is None or D is None or bias is None or not scan.attributes.get_int("delta_softplus", 0):
        return None
    if A.shape is None or A.shape[1] != 1:
        return None
    projected = _projected(u, delta, B, C)
    total = _total(scan)
    if projected is None or total is None:
        return None
    channels = projected.rows.weight.shape[1]
    groups, rank = len(projected.steps.weight) // channels, projected.steps.weight.shape[1]
    if rank > _MOST_RANK or len(projected.rows.weight) != groups * (rank + 2):
        return None
    readers = {use.node for use in u.uses()} - {scan, projected.rows.node}
    source = None if readers or u.is_graph_output() else _source(u)
    x, before, silu = source or (u, (), False)
    weights = [
        Weights(array=conv.weight[:, :, 0], name=f"{scan.name}_{role}", dtype=np.dtype(np.float32))
        for role, conv in (("projection", projected.rows), ("steps", projected.steps))
    ]
    reverse = tuple(scan.attributes.get_ints("reverse", [0]))
    shape = x.shape
    fused = Step(
        op_type="EvProjectedScan",
        inputs=(x, *weights, A, D, bias),
        attributes={"reverse": reverse, "silu": int(silu), **PLUGIN_ATTRIBUTES},
        shape=shape,
        domain=DOMAIN,
    )
    old = (*before, *projected.nodes, scan, *total)
    flat = total[-1].outputs[0].shape
    if flat is None or len(flat) != 3:
        return None
    if shape is not None and len(shape) == 3:
        return Rewrite(equation="fuse_projected_scan", old=old, new=fused, probes={})
    dims = np.array([0, channels, -1])
    target = Weights(array=dims, name=f"{scan.name}_rows", dtype=np.dtype(np.int64))
    new = Step(op_type="Reshape", inputs=(fused, target), shape=flat)
    return Rewrite(equation="fuse_projected_scan", old=old, new=new, probes={})


def _projected(u: ir.Value, delta: ir.Value | None, B: ir.Value | None, C: ir.Value | None) -> _Projected | None:
    steps = _plain(None if delta is None else delta.producer())
    b, c = produced_by(B, "Reshape"), produced_by(C, "Reshape")
    if steps is None or b is None or c is None:
        return None
    split = produced_by(steps.x, "Split")
    parts = [] if split is None else [steps.x, b.inputs[0], c.inputs[0]]
    if split is None or parts != list(split.outputs) or split.attributes.get_int("axis", 0) != 1:
        return None
    rows = _plain(None if split.inputs[0] is None else split.inputs[0].producer())
    if rows is None or rows.x is not u or rows.group != 1:
        return None
    nodes = (rows.node, split, steps.node, b, c)
    inner = [value for node in nodes for value in node.outputs]
    return _Projected(rows=rows, steps=steps, nodes=nodes) if all(map(only_reader, inner)) else None


def _plain(node: ir.Node | None) -> Convolution | None:
    """A 1x1 convolution of [Bt, C, L] that adds nothing."""
    conv = read_convolution(node)
    if conv is None or conv.weight.shape[2:] != (1,) or conv.bias.any():
        return None
    return conv if not any(conv.node.attributes.get_ints("pads", [0])) else None


def _total(scan: ir.Node) -> tuple[ir.Node, ir.Node] | None:
    """The Reshape and ReduceSum that add the groups up."""
    split = only_reader(scan.outputs[0])
    total = None if split is None or split.op_type != "Reshape" else only_reader(split.outputs[0])
    if split is None or total is None or total.op_type != "ReduceSum" or total.attributes.get_int("keepdims", True):
        return None
    grouped, flat = split.outputs[0].shape, scan.outputs[0].shape
    axes = ir.convenience.get_const_tensor(total.inputs[1]) if len(total.inputs) > 1 and total.inputs[1] else None
    if axes is None or axes.numpy().tolist() != [1] or grouped is None or flat is None or len(grouped) != 4:
        return None
    return (split, total) if grouped[3] == flat[2] else None


def _source(u: ir.Value) -> tuple[ir.Value, tuple[ir.Node, ...], bool] | None:
    """The map behind u's Reshape and SiLU; the nodes between; whether there is a SiLU."""
    flat = produced_by(u, "Reshape")
    inner = None if flat is None else flat.inputs[0]
    if flat is None or inner is None or inner.shape is None or len(inner.shape) != 4 or not _same_channels(inner, u):
        return None
    product = produced_by(inner, "Mul")
    if product is not None and only_reader(inner) is flat:
        for z, factor in (product.inputs, tuple(reversed(product.inputs))):
            sigmoid = produced_by(factor, "Sigmoid")
            if z is not None and sigmoid is not None and sigmoid.inputs[0] is z and only_reader(sigmoid.outputs[0]):
                return z, (sigmoid, product, flat), True
    return inner, (flat,), False


def _same_channels(a: ir.Value, b: ir.Value) -> bool:
    return a.shape is not None and b.shape is not None and a.shape[1] == b.shape[1]
