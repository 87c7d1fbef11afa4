"""Cross-layer equalization: two linear operators in a row agree on how large the channels between them are.

    W2 f(W1 x + b1)  =  (W2 S) f(S^-1 W1 x + S^-1 b1),    s_i = sqrt(r1_i / r2_i)

r1_i is the largest |weight| that writes channel i, r2_i the largest that reads it; f is positively homogeneous. Both
then are sqrt(r1_i r2_i). From M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction"
(ICCV 2019), eq. 11. It needs no data. With weights quantized per channel what it evens out are the activations.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgevision.passes.graph_pass import Application, Declined, PassResult
from edgevision.quantize.channel_path import input_magnitudes, note_rescaled, scale_inputs, scale_outputs, travel
from edgevision.reparam.linear_op import LinearOp, read_linear
from edgevision.reparam.matching import Decline, Floats, is_standard, label, labels

__all__ = ["equalize"]

_NAME = "equalize"
#: A chain of operators settles within a few sweeps.
_SWEEPS, _SETTLED = 20, 1e-2
#: Channels that hardly count are not blown up without end.
_LARGEST = 1e3


def equalize(model: ir.Model) -> PassResult:
    """Equalize every pair of linear operators of `model`, in place, until the factors settle."""
    applied: dict[tuple[str, ...], Application] = {}
    declined: list[Declined] = []
    for sweep in range(_SWEEPS):
        largest = 1.0
        for node in model.graph:
            if not is_standard(node) or node.op_type not in ("Conv", "Gemm", "MatMul"):
                continue
            try:
                pair = _pair(node)
                if pair is None:
                    continue
                factor = _factor(*pair)
            except Decline as no:
                declined += [Declined(where=labels((node,)), equation=_NAME, reason=no.reason)] if sweep == 0 else []
                continue
            scale_outputs(node, 1 / factor)
            for reader in pair[1]:
                scale_inputs(reader.nodes[0], factor)
            note_rescaled(node.outputs[0], pair[1])
            where = labels((node, *(reader.nodes[0] for reader in pair[1])))
            applied[where] = Application(where=where, equation=_NAME)
            largest = max(largest, float(np.max(np.maximum(factor, 1 / factor))))
        if largest < 1 + _SETTLED:
            break
    return PassResult(model=model, applied=tuple(applied.values()), declined=tuple(declined))


def _pair(node: ir.Node) -> tuple[LinearOp, tuple[LinearOp, ...]] | None:
    """The operator, and those that read what it writes."""
    op = read_linear(node)
    if op is None:
        return None
    if len(op.nodes) > 1:
        raise Decline(f"the bias of {label(node)} is added apart")
    return op, travel(op.y, op.axis(output=True).from_end)


def _factor(op: LinearOp, readers: tuple[LinearOp, ...]) -> Floats:
    writes = np.abs(op.kernel).max(axis=(2, *range(3, op.kernel.ndim))).reshape(-1)
    reads = input_magnitudes(readers)
    both = (writes > 0) & (reads > 0)
    ratio = np.divide(writes, reads, out=np.ones_like(writes), where=both)
    return np.asarray(np.clip(np.sqrt(ratio), 1 / _LARGEST, _LARGEST))
