"""Bias correction: rounding weights shifts the mean of an output, and the bias can take the shift back.

With weights W, their rounded form Q and inputs of mean E[x] per channel, the mean of the output moves by (Q - W) E[x];
the corrected bias is b - (Q - W) E[x]. From M. Nagel et al., "Data-Free Quantization Through Weight Equalization and
Bias Correction" (ICCV 2019), with measured means. Positions where a kernel reaches into the padding see fewer taps and
are corrected by slightly too much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.calibration.source import Source
from edgevision.quantize.observe import values_of

__all__ = ["channel_means", "linear_inputs", "mean_shift"]

Array = NDArray[Any]


def mean_shift(error: Array, means: Array, kind: str, axis: int, groups: int = 1) -> Array:
    """(Q - W) E[x] per output channel.

    Args:
        error: Q - W, in the weight's own shape.
        means: E[x] per input channel.
        kind: the operator.
        axis: of the output channels in the weight.
        groups: of a convolution.
    """
    if kind != "Conv":
        return np.asarray(np.moveaxis(error, axis, 0) @ means)
    per_input = error.reshape(*error.shape[:2], -1).sum(axis=-1)
    of_group = means.reshape(groups, 1, -1).repeat(error.shape[0] // groups, axis=1).reshape(error.shape[0], -1)
    return np.asarray((per_input * of_group).sum(axis=1))


def channel_means(
    model: ir.Model, tensors: Mapping[str, int], source: Source, limit: int | None = None
) -> dict[str, Array]:
    """Mean of each tensor along its channel axis over the calibration set, streaming.

    Args:
        model: the float graph.
        tensors: name -> channel axis.
        source: of images.
        limit: on their number.
    """
    sums: dict[str, Array] = {}
    counts = dict.fromkeys(tensors, 0)
    for seen in values_of(model, list(tensors), source, limit):
        for name, values in seen.items():
            rows = _rows(np.asarray(values, np.float64), tensors[name])
            sums[name] = sums.get(name, 0.0) + rows.sum(axis=1)
            counts[name] += rows.shape[1]
    return {name: total / counts[name] for name, total in sums.items()}


def _rows(values: Array, axis: int) -> Array:
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def linear_inputs(nodes: Sequence[ir.Node]) -> dict[str, int]:
    """Tensors that linear operators read, with the axis of their channels."""
    found = {}
    for node in nodes:
        value = node.inputs[0]
        if value is not None:
            found[str(value.name)] = 1 if node.op_type == "Conv" else -1
    return found
