"""A linear on channels-last tensors is a 1x1 convolution on channels-first ones.

    T(MatMul(T'(x), W)) = Conv1x1(x, W^T)        T' = [N, C, ...] -> [N, ..., C],  T its inverse

and T commutes with everything elementwise, so that a whole part of a graph between T' and T (`layout_region`) turns at
once and both Transposes go. Shifts and norms beside the linear then meet the convolution and fold.

Declines: the part has an operator that means something else with channels first (LayerNormalization, Softmax, Reshape),
more than one way out for one result, a result that is a graph output, or a weight that is not a float32/float64 constant.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from edgevision.passes.graph_pass import Declined
from edgevision.reparam.equations import Equation
from edgevision.reparam.layout_region import BINARY, REDUCTIONS, Region, regions, to_first
from edgevision.reparam.matching import Decline, attributes_of, constant_array, is_constant, labels, weight_array
from edgevision.reparam.rewrite import Rewrite, Step, Weights

__all__ = ["EQUATION"]

_NAME = "channels_first"
_SIZES = (3, 4, 5)  # spatial sizes of the proof's maps; nothing in a region looks at a neighbour


def _find(graph: ir.Graph) -> Iterator[Rewrite | Declined]:
    for nodes, region in regions(graph):
        try:
            yield _rewrite(region)
        except Decline as no:
            yield Declined(where=labels(nodes), equation=_NAME, reason=no.reason)


def _rewrite(region: Region | Decline) -> Rewrite:
    if isinstance(region, Decline):
        raise region
    turned: dict[ir.Value, ir.Value | Step] = {}
    probes: dict[ir.Value, tuple[int, ...]] = {}
    for entry in region.entries:
        x = entry.inputs[0]
        if x is not None:
            turned[entry.outputs[0]] = x
            probes[x] = _probe(x)
    for node in region.nodes:
        turned[node.outputs[0]] = _turn(node, region.rank, turned)
    last = region.exit.inputs[0]
    new = turned[last] if last is not None else None
    if not isinstance(new, Step):  # the two Transposes stand back to back
        source = new if new is not None else region.exit.outputs[0]
        new = Step(op_type="Identity", inputs=(source,), shape=source.shape)
    own = tuple(entry for entry in region.entries if entry not in region.shared)
    old = (*own, *region.nodes, region.exit)
    return Rewrite(equation=_NAME, kept=region.shared, old=old, new=new, probes=probes)


def _turn(node: ir.Node, rank: int, turned: dict[ir.Value, ir.Value | Step]) -> Step:
    """The node with channels first."""
    shape = _turned_shape(node.outputs[0], rank)
    first = node.inputs[0]
    if node.op_type == "MatMul" and first is not None and node.inputs[1] is not None:
        weight = weight_array(node.inputs[1]).T
        kernel = Weights(
            array=weight.reshape(*weight.shape, *(1,) * (rank - 2)),
            name=node.inputs[1].name or f"{node.outputs[0].name}.weight",
            dtype=constant_array(node.inputs[1]).dtype,
        )
        return Step(
            op_type="Conv", inputs=(turned[first], kernel), attributes={"kernel_shape": (1,) * (rank - 2)}, shape=shape
        )
    attributes = attributes_of(node)
    inputs: list[ir.Value | Weights | Step] = []
    for position, value in enumerate(node.inputs):
        if value is None:
            raise Decline(f"{node.op_type} leaves out an input")
        if value in turned:
            inputs.append(turned[value])
        elif node.op_type in BINARY:
            inputs.append(_turned_constant(value, rank))
        elif node.op_type in REDUCTIONS and position == 1:
            axes = np.array([_turned_axis(int(axis), rank) for axis in constant_array(value)], np.int64)
            inputs.append(Weights(array=axes, name=f"{node.outputs[0].name}_axes", dtype=axes.dtype))
        else:
            inputs.append(value)
    if "axes" in attributes:
        attributes["axes"] = tuple(_turned_axis(axis, rank) for axis in node.attributes.get_ints("axes", ()))
    return Step(op_type=node.op_type, inputs=tuple(inputs), attributes=attributes, shape=shape)


def _turned_axis(axis: int, rank: int) -> int:
    return to_first(rank).index(axis % rank)


def _turned_constant(value: ir.Value, rank: int) -> ir.Value | Weights:
    """The constant as it broadcasts against a channels-first tensor."""
    if not is_constant(value):
        raise Decline(f"'{value.name}' enters the channels-last part without a Transpose")
    array = constant_array(value)
    if array.size == 1:
        return value
    if array.ndim > rank or not np.issubdtype(array.dtype, np.floating):
        raise Decline(f"'{value.name}' has rank {array.ndim} in a part of rank {rank}")
    full = array.reshape(*(1,) * (rank - array.ndim), *array.shape).transpose(to_first(rank))
    return Weights(array=full.astype(np.float64), name=value.name or "constant", dtype=array.dtype)


def _turned_shape(value: ir.Value, rank: int) -> ir.Shape | None:
    dims = None if value.shape is None else tuple(value.shape)
    return None if dims is None else ir.Shape([dims[axis] for axis in to_first(rank)])


def _probe(x: ir.Value) -> tuple[int, ...]:
    """A small map with the true number of channels; axes of size 1 stay, since they broadcast."""
    dims = () if x.shape is None else tuple(x.shape)
    if len(dims) < 3 or not isinstance(dims[1], int):
        raise Decline(f"the channels of '{x.name}' are not known")
    return (1, dims[1], *(1 if dim == 1 else size for dim, size in zip(dims[2:], _SIZES, strict=False)))


EQUATION = Equation(name=_NAME, rank=60, find=_find)
