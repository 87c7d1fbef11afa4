"""A layer norm over channels, with the sum before it and the gate behind it, as one EvChannelNorm.

    [Reshape, ReduceSum over K groups,] Transpose, LayerNormalization, Transpose, [Reshape,] [times SiLU(z)]
    Transpose, LayerNormalization, Transpose, of a map

Two of three steps there only move data: the norm wants channels last, the maps have them first.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES
from edgevision.passes.convolution import only_reader, produced_by
from edgevision.passes.graph_pass import PassResult
from edgevision.passes.rewriting import rewrite_all
from edgevision.reparam.matching import is_standard
from edgevision.reparam.rewrite import Rewrite, Step

__all__ = ["fuse_channel_norm"]

#: Channels last from channels first, and the way back.
_BACK = {(0, 2, 1): (0, 2, 1), (0, 2, 3, 1): (0, 3, 1, 2)}


def fuse_channel_norm(model: ir.Model) -> PassResult:
    """Fuse every norm over the channels of [Bt, C, L] or [Bt, C, H, W], in place."""
    return rewrite_all(model, _equation)


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A value, and the nodes between it and the norm in the order they run."""

    value: ir.Value
    nodes: tuple[ir.Node, ...]


def _equation(norm: ir.Node) -> Rewrite | None:
    before = _turned(produced_by(norm.inputs[0], "Transpose")) if norm.inputs else None
    if norm.op_type != "LayerNormalization" or not is_standard(norm) or before is None or len(norm.inputs) < 3:
        return None
    turn = only_reader(norm.outputs[0])
    forward = before.nodes[0].attributes.get_ints("perm", [])
    if norm.attributes.get_int("axis", -1) not in (-1, len(forward) - 1) or turn is None:
        return None
    if turn.op_type != "Transpose" or tuple(turn.attributes.get_ints("perm", [])) != _BACK[tuple(forward)]:
        return None
    source, after = _summed(before), _Place(value=turn.outputs[0], nodes=(turn,))
    gate = _gate(_shaped(after))
    if gate is not None:  # without one the operator keeps x's pixels as they are
        source, after = _unrolled(source), _shaped(after)
    old = (*source.nodes, norm, *after.nodes, *(() if gate is None else (gate[1],)))
    result = old[-1].outputs[0]
    weight, bias = norm.inputs[1:3]
    if bias is None:
        return None
    operands = [source.value, weight, bias] + ([] if gate is None else [gate[0]])
    new = Step(
        op_type="EvChannelNorm",
        inputs=tuple(value for value in operands if value is not None),
        attributes={"epsilon": norm.attributes.get_float("epsilon", 1e-5), **PLUGIN_ATTRIBUTES},
        shape=result.shape,
        domain=DOMAIN,
    )
    return Rewrite(equation="fuse_channel_norm", old=old, new=new, probes={})


def _turned(node: ir.Node | None) -> _Place | None:
    """A Transpose that puts channels last and has one reader."""
    if node is None or tuple(node.attributes.get_ints("perm", [])) not in _BACK:
        return None
    if node.inputs[0] is None or only_reader(node.outputs[0]) is None:
        return None
    return _Place(value=node.inputs[0], nodes=(node,))


def _summed(place: _Place) -> _Place:
    """Back over a sum of groups, where one is in front."""
    total = produced_by(place.value, "ReduceSum")
    split = None if total is None else produced_by(total.inputs[0], "Reshape")
    if total is None or split is None or split.inputs[0] is None or len(total.inputs) < 2:
        return place
    axes = ir.convenience.get_const_tensor(total.inputs[1]) if total.inputs[1] is not None else None
    first = axes is not None and axes.numpy().tolist() == [1] and total.attributes.get_int("keepdims", 1) == 0
    grouped, flat = _dims(split.outputs[0]), _dims(split.inputs[0])
    if not first or len(grouped) != 4 or len(flat) != 3 or flat[2] != grouped[3]:
        return place
    if only_reader(total.outputs[0]) is None or only_reader(split.outputs[0]) is None:
        return place
    return _Place(value=split.inputs[0], nodes=(split, total, *place.nodes))


def _unrolled(place: _Place) -> _Place:
    """Back over a Reshape that made a map's pixels one axis: the operator takes maps as they are."""
    flat = produced_by(place.value, "Reshape")
    if flat is None or flat.inputs[0] is None or only_reader(flat.outputs[0]) is None:
        return place
    whole, rows = _dims(flat.inputs[0]), _dims(flat.outputs[0])
    same = len(whole) == 4 and len(rows) == 3 and whole[1] == rows[1] and isinstance(whole[1], int)
    return _Place(value=flat.inputs[0], nodes=(flat, *place.nodes)) if same else place


def _shaped(place: _Place) -> _Place:
    """On over the Reshape that makes rows of pixels a map again."""
    reader = only_reader(place.value)
    if reader is None or reader.op_type != "Reshape" or not is_standard(reader):
        return place
    return _Place(value=reader.outputs[0], nodes=(*place.nodes, reader))


def _gate(place: _Place) -> tuple[ir.Value, ir.Node] | None:
    """Z and the product, where the result is multiplied by z·sigmoid(z)."""
    product = only_reader(place.value)
    if product is None or product.op_type != "Mul" or not is_standard(product):
        return None
    other = product.inputs[1] if product.inputs[0] is place.value else product.inputs[0]
    silu = produced_by(other, "Mul")
    if silu is None or silu.outputs[0].shape != place.value.shape:
        return None
    for z, factor in (silu.inputs, tuple(reversed(silu.inputs))):
        sigmoid = produced_by(factor, "Sigmoid")
        if z is not None and sigmoid is not None and sigmoid.inputs[0] is z:
            return z, product
    return None


def _dims(value: ir.Value) -> tuple[object, ...]:
    return () if value.shape is None else tuple(value.shape)
