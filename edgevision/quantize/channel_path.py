"""How far a positive factor per channel can travel from a value, so that linear operators take it back.

    s * x  ->  Relu, LeakyRelu, MaxPool, pooling, moving of pixels, a gate that is not scaled itself  ->  W diag(1/s)

What lies on the way is positively homogeneous in each channel. The walk declines where the factor would be seen: by a
graph output, a sum with something unscaled, a curved activation, an operator it does not know.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgevision.quantize.plan import weight_axis
from edgevision.reparam.linear_op import LinearOp, read_linear
from edgevision.reparam.matching import Decline, Floats, constant_array, is_constant, is_standard, label, weight_array

__all__ = [
    "RESCALED",
    "input_magnitudes",
    "note_rescaled",
    "scale_inputs",
    "scale_outputs",
    "travel",
    "write_constant",
]

#: Note on a node: its results are the float model's times a factor per channel, and not to be held against that.
RESCALED = "edgevision.rescaled"

_ACTIVATIONS = frozenset({"Relu", "LeakyRelu"})
_POOLS = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool"})
_ROW_MAJOR = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})


def travel(value: ir.Value, axis: int) -> tuple[LinearOp, ...]:
    """The linear operators that together take a factor on `axis` of `value` back.

    Raises:
        Decline: something else sees it, with the reason.
    """
    scaled: dict[ir.Value, int] = {value: axis % _rank(value)}
    ends: list[LinearOp] = []
    queue = [value]
    while queue:
        current = queue.pop(0)
        if current.is_graph_output():
            raise Decline(f"'{current.name}' is a graph output")
        for reader in dict.fromkeys(use.node for use in current.uses()):
            op = _linear(reader, current, scaled[current])
            if op is not None:
                ends.append(op)
                continue
            scaled[reader.outputs[0]] = _through(reader, current, scaled[current])
            queue.append(reader.outputs[0])
    _check_products(scaled)
    if not ends:
        raise Decline("no linear operator reads it")
    return tuple({op.nodes[0]: op for op in ends}.values())


def _linear(node: ir.Node, value: ir.Value, axis: int) -> LinearOp | None:
    """The linear operator that reads `value` along its channels; None where `node` is none."""
    if node.inputs[0] is not value or not is_standard(node) or node.op_type == "ConvTranspose":
        return None
    op = read_linear(node)
    if op is not None and op.axis(output=False).from_end % _rank(value) != axis:
        raise Decline(f"{label(node)} reads it along another axis")
    return op


def _through(node: ir.Node, value: ir.Value, axis: int) -> int:
    """The channel axis behind `node`, which commutes with the factor."""
    if not is_standard(node):
        raise Decline(f"{label(node)} is not known to be homogeneous")
    if node.op_type in _ACTIVATIONS or (node.op_type in _POOLS and axis == 1):
        return axis
    if node.op_type == "Transpose":
        return list(node.attributes.get_ints("perm", tuple(reversed(range(_rank(value)))))).index(axis)
    if node.op_type in _ROW_MAJOR and node.inputs[0] is value:
        return _same_rows(value, node.outputs[0], axis)
    if node.op_type == "ReduceMean" and node.inputs[0] is value:
        return _reduced(node, value, axis)
    if node.op_type == "Mul" and not any(is_constant(v) for v in node.inputs):
        return axis + _rank(node.outputs[0]) - _rank(value)
    raise Decline(f"{label(node)} does not commute with it")


def _same_rows(value: ir.Value, out: ir.Value, axis: int) -> int:
    """The axis of a reshaped value that counts the same channels: as many elements lie behind it as before."""
    before, after = _dims(value), _dims(out)
    behind = math.prod(before[axis + 1 :])
    for new in range(len(after)):
        if after[new] == before[axis] and after[new] > 0 and math.prod(after[new + 1 :]) == behind > 0:
            return new
    raise Decline(f"'{out.name}' mixes channels with other axes")


def _reduced(node: ir.Node, value: ir.Value, axis: int) -> int:
    axes = ir.convenience.get_const_tensor(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None
    if axes is None:
        raise Decline(f"the axes of {label(node)} are not constant")
    reduced = {int(a) % _rank(value) for a in np.asarray(axes.numpy()).reshape(-1)}
    if axis in reduced:
        raise Decline(f"{label(node)} averages over channels")
    kept = node.attributes.get_int("keepdims", 1)
    return axis if kept else axis - sum(a < axis for a in reduced)


def _check_products(scaled: dict[ir.Value, int]) -> None:
    """A product of two scaled values would have the factor twice; so would a gate that depends on it."""
    for value in scaled:
        node = value.producer()
        if node is not None and node.op_type == "Mul" and sum(v in scaled for v in node.inputs if v is not None) > 1:
            raise Decline(f"{label(node)} multiplies it with itself")


def _rank(value: ir.Value) -> int:
    if value.shape is None:
        raise Decline(f"the shape of '{value.name}' is not known")
    return value.shape.rank()


def _dims(value: ir.Value) -> tuple[int, ...]:
    """Sizes; -1 for one that is not known."""
    return tuple(d if isinstance(d, int) else -1 for d in value.shape or ())


def note_rescaled(value: ir.Value, readers: Sequence[LinearOp]) -> None:
    """Leave a note on every node from the producer of `value` to the `readers` that take the factor back."""
    ends = {op.nodes[0] for op in readers}
    queue = [value]
    while queue:
        current = queue.pop()
        producer = current.producer()
        if producer is not None:
            producer.metadata_props[RESCALED] = "per channel"
        queue += [out for use in current.uses() if use.node not in ends for out in use.node.outputs]


def input_magnitudes(ops: Sequence[LinearOp]) -> Floats:
    """Largest |weight| that any of `ops` has for each input channel."""
    each = [np.abs(op.kernel).max(axis=(1, *range(3, op.kernel.ndim))).reshape(-1) for op in ops]
    magnitudes: Floats = np.max(each, axis=0)
    return magnitudes


def scale_inputs(node: ir.Node, factor: Floats) -> None:
    """Multiply a linear operator's weights by one factor per input channel, in the graph."""
    weight = weight_array(_operand(node, 1))
    if node.op_type == "Conv":
        groups = node.attributes.get_int("group", 1)
        apart = weight.reshape(groups, -1, *weight.shape[1:])
        scaled = apart * factor.reshape(groups, 1, -1, *(1 for _ in weight.shape[2:]))
        write_constant(node, 1, scaled.reshape(weight.shape))
    else:
        write_constant(node, 1, weight * (factor if weight_axis(node) == 0 else factor[:, None]))


def scale_outputs(node: ir.Node, factor: Floats) -> None:
    """Multiply a linear operator's weights and bias by one factor per output channel, in the graph."""
    weight = weight_array(_operand(node, 1))
    axis = weight_axis(node) % weight.ndim
    write_constant(node, 1, weight * factor.reshape([-1 if i == axis else 1 for i in range(weight.ndim)]))
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        write_constant(node, 2, weight_array(node.inputs[2]) * factor)


def write_constant(node: ir.Node, index: int, array: Floats) -> None:
    """New numbers for a constant that `node` reads; others that read it keep the old ones."""
    old, graph = _operand(node, index), node.graph
    values = np.ascontiguousarray(array, constant_array(old).dtype)
    if len(tuple(old.uses())) == 1 and old.producer() is None:
        old.const_value = ir.tensor(values, name=old.name)
        return
    assert isinstance(graph, ir.Graph)  # these nodes stand in the main graph
    name = f"{node.outputs[0].name}_{old.name}"
    new = ir.Value(
        name=name,
        shape=ir.Shape(values.shape),
        type=ir.TensorType(ir.DataType.from_numpy(values.dtype)),
        const_value=ir.tensor(values, name=name),
    )
    graph.register_initializer(new)
    node.replace_input_with(index, new)


def _operand(node: ir.Node, index: int) -> ir.Value:
    value = node.inputs[index]
    if value is None:
        raise Decline(f"{label(node)} has no input {index}")
    return value
