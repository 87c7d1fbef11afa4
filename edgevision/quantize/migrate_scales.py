"""Scale migration: what a norm writes is evened out between its channels, and the linear operators behind take it back.

    W (gamma x^ + beta)  =  (W S) (S^-1 gamma x^ + S^-1 beta),    s_j = max|X_j|^a / max|W_j|^(1-a),  a = 1/2

A few channels of a layer norm are often tens of times larger than the rest and leave them no steps of a common scale.
From G. Xiao et al., "SmoothQuant" (ICML 2023, arXiv 2211.10438), eq. 4. X is what the linear operators read, measured:
between norm and operator there may be a gate, as behind a selective scan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevision.calibration.source import Source
from edgevision.ops.operator import DOMAIN
from edgevision.passes.graph_pass import Application, Declined, PassResult
from edgevision.quantize.channel_path import input_magnitudes, note_rescaled, scale_inputs, travel, write_constant
from edgevision.quantize.observe import values_of
from edgevision.reparam.linear_op import LinearOp
from edgevision.reparam.matching import Decline, Floats, is_constant, label, labels, weight_array

__all__ = ["channel_maxima", "migrate_scales"]

_NAME = "migrate_scales"
_LARGEST = 1e3


@dataclass(frozen=True, kw_only=True)
class _Place:
    norm: ir.Node
    readers: tuple[LinearOp, ...]


def migrate_scales(model: ir.Model, source: Source, limit: int | None = None) -> PassResult:
    """Migrate the scales of every layer norm whose readers allow it, in place.

    Args:
        model: a float graph.
        source: images that show how large the channels are.
        limit: on their number.
    """
    places, declined = _places(model)
    wanted = {str(op.x.name): op.axis(output=False).from_end for place in places for op in place.readers}
    maxima = channel_maxima(model, wanted, source, limit) if wanted else {}
    for place in places:
        read: Floats = np.max([maxima[str(op.x.name)] for op in place.readers], axis=0)
        weights = input_magnitudes(place.readers)
        some = (read > 0) & (weights > 0)
        factor = np.sqrt(np.divide(read, weights, out=np.ones_like(read), where=some))
        factor = np.clip(factor / np.exp(np.log(factor).mean()), 1 / _LARGEST, _LARGEST)
        for index in (1, 2):
            if len(place.norm.inputs) > index and place.norm.inputs[index] is not None:
                write_constant(place.norm, index, weight_array(_given(place.norm, index)) / factor)
        for op in place.readers:
            scale_inputs(op.nodes[0], factor)
        note_rescaled(place.norm.outputs[0], place.readers)
    return PassResult(
        model=model,
        applied=tuple(
            Application(where=labels((p.norm, *(op.nodes[0] for op in p.readers))), equation=_NAME) for p in places
        ),
        declined=tuple(declined),
    )


def channel_maxima(
    model: ir.Model, tensors: dict[str, int], source: Source, limit: int | None = None
) -> dict[str, Floats]:
    """Largest |value| of each tensor along its channel axis (name -> axis) over the images."""
    found: dict[str, Floats] = {}
    for seen in values_of(model, list(tensors), source, limit):
        for name, values in seen.items():
            rows = np.abs(np.moveaxis(values, tensors[name], 0).reshape(values.shape[tensors[name]], -1)).max(axis=1)
            found[name] = np.maximum(found.get(name, 0.0), rows.astype(np.float64))
    return found


def _places(model: ir.Model) -> tuple[list[_Place], list[Declined]]:
    places, declined = [], []
    for node in model.graph:
        axis = _axis(node)
        if axis is None:
            continue
        try:
            if any(v is not None and not is_constant(v) for v in node.inputs[1:3]):
                raise Decline(f"the scale of {label(node)} is not constant")
            places.append(_Place(norm=node, readers=travel(node.outputs[0], axis)))
        except Decline as no:
            declined.append(Declined(where=labels((node,)), equation=_NAME, reason=no.reason))
    return places, declined


def _axis(node: ir.Node) -> int | None:
    """The channel axis of a norm over channels alone, None for any other node."""
    if node.op_type == "EvChannelNorm" and node.domain == DOMAIN:
        return 1
    if node.op_type == "LayerNormalization" and not node.domain:
        weight = node.inputs[1]
        return -1 if weight is not None and weight.shape is not None and weight.shape.rank() == 1 else None
    return None


def _given(node: ir.Node, index: int) -> ir.Value:
    value = node.inputs[index]
    assert value is not None  # asked before
    return value
