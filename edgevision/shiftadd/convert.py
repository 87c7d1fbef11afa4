"""A graph's layers into shift operators with packed weights, or into the dense layers that those mean."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgevision.ops.bit_packing import pack
from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES, VERSION
from edgevision.ops.shift_code import ShiftCode
from edgevision.passes.attach_bodies import attach_bodies
from edgevision.passes.dense_shifts import dense_shifts
from edgevision.shiftadd.candidates import Candidate, candidates
from edgevision.shiftadd.encode import Encoded, encode_layer

__all__ = ["Layer", "convert"]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What became of one layer.

    Attributes:
        name, module, kind: of its node.
        weights: how many.
        macs, inputs, outputs: work and traffic of one pass; see `Candidate`.
        error: relative L2 error of the weights.
        bytes_before, bytes_after: of weights and scales.
        zeros, clamped, raised: weights that met an end of the code's range; see `Encoded`.
    """

    name: str
    module: str
    kind: str
    weights: int
    macs: int | None
    inputs: int | None
    outputs: int | None
    error: float
    bytes_before: int
    bytes_after: int
    zeros: int
    clamped: int
    raised: int


def convert(
    model: ir.Model,
    code: ShiftCode,
    names: Collection[str],
    *,
    per_channel: bool = False,
    activations: str = "float",
    fold: bool = False,
) -> list[Layer]:
    """Convert the layers called `names` in place; returns them in the graph's order.

    Args:
        model: in deploy form, opset 20 or later.
        code: the form of the weights.
        names: of candidates.
        per_channel: a scale per output.
        activations: `float`, `fixed` (inputs and biases floored to 2^-16) or `int32` (products too).
        fold: leave dense weights in the graph instead of packed ones.

    Raises:
        ModelError: weights that no code can stand for.
    """
    rows = []
    for candidate in candidates(model)[0]:
        if candidate.name not in names:
            continue
        encoded = encode_layer(candidate.name, candidate.weight, code, per_channel=per_channel)
        _replace(model, candidate, code, encoded, activations)
        rows.append(_row(candidate, encoded, code, fold=fold))
    model.opset_imports[DOMAIN] = VERSION
    RemoveUnusedNodesPass()(model)
    attach_bodies(model)
    if fold:
        dense_shifts(model)
    return rows


def _row(candidate: Candidate, encoded: Encoded, code: ShiftCode, *, fold: bool) -> Layer:
    packed = math.ceil(candidate.weight.shape[1] / 8) * code.width * len(candidate.weight)
    scales = 0 if encoded.scale is None else 4 * len(encoded.scale)
    return Layer(
        name=candidate.name,
        module=candidate.module,
        kind=candidate.node.op_type,
        weights=candidate.weight.size,
        macs=candidate.macs,
        inputs=candidate.inputs,
        outputs=candidate.outputs,
        error=encoded.error,
        bytes_before=4 * candidate.weight.size,
        bytes_after=4 * candidate.weight.size if fold else packed + scales,
        zeros=encoded.zeros,
        clamped=encoded.clamped,
        raised=encoded.raised,
    )


def _replace(model: ir.Model, at: Candidate, code: ShiftCode, encoded: Encoded, activations: str) -> None:
    stem = at.node.inputs[1].name if at.node.inputs[1] is not None else at.name
    packed = _initializer(model, f"{stem}_packed", pack(encoded.codes, code.width), at.name)
    scale = None if encoded.scale is None else _initializer(model, f"{stem}_scale", encoded.scale, at.name)
    attributes: dict[str, object] = {"form": code.form, "bits": code.bits, "activations": activations}
    if not at.linear:
        attributes |= _geometry(at.node)
    inputs = [at.node.inputs[0], packed, scale, at.bias]
    while inputs[-1] is None:
        inputs.pop()
    old = at.output
    node = ir.node(
        "EvShiftLinear" if at.linear else "EvShiftConv",
        inputs,
        {**attributes, **PLUGIN_ATTRIBUTES},
        domain=DOMAIN,
        name=at.name,
        metadata_props=dict(at.node.metadata_props),
    )
    new = node.outputs[0]
    new.name, new.type, new.shape = old.name, old.type, old.shape
    last = at.add or at.node
    last.graph.insert_after(last, node)  # type: ignore[union-attr]
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    old.name = None
    last.graph.remove(last, safe=True)  # type: ignore[union-attr]


def _geometry(node: ir.Node) -> dict[str, object]:
    weight = node.inputs[1]
    assert weight is not None
    assert weight.shape is not None
    return {
        "kernel_shape": [int(d) for d in weight.shape.numpy()[2:]],
        "strides": list(node.attributes.get_ints("strides", [1, 1])),
        "pads": list(node.attributes.get_ints("pads", [0, 0, 0, 0])),
        "dilations": list(node.attributes.get_ints("dilations", [1, 1])),
        "group": node.attributes.get_int("group", 1),
    }


def _initializer(model: ir.Model, name: str, array: np.ndarray, owner: str) -> ir.Value:
    """A new initializer; where layers share a weight each gets codes of its own."""
    if name in model.graph.initializers:
        name = f"{name}_{owner}"
    tensor = ir.tensor(np.ascontiguousarray(array), name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    model.graph.register_initializer(value)
    return value
