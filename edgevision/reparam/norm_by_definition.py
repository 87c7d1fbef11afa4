"""BatchNormalization at inference, from its definition, for the reference evaluator the proofs run in.

    y = scale * (x - mean) / sqrt(var + epsilon) + bias          one number of each a channel

The evaluator of onnx 1.23 takes the batch's own statistics in every model of opset 9 to 13, whatever the node says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun

__all__ = ["BatchNormalization"]

Array = NDArray[Any]


class BatchNormalization(OpRun):  # type: ignore[misc]  # onnx is untyped
    """ONNX BatchNormalization on [N, C, ...], the statistics given."""

    op_domain = ""

    def _run(self, x: Array, scale: Array, bias: Array, mean: Array, var: Array, **attributes: Any) -> tuple[Array]:
        epsilon = attributes.get("epsilon")
        spread = np.sqrt(var + (1e-5 if epsilon is None else epsilon))
        scale, bias, mean, spread = (part.reshape(-1, *(1,) * (x.ndim - 2)) for part in (scale, bias, mean, spread))
        return ((scale * (x - mean) / spread + bias).astype(x.dtype),)
