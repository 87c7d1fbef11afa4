"""Global response normalization, with the GELU before it, as one EvResponseNorm.

    [g = Gelu(x),] n = ReduceL2(g over pixels), (gamma n / (ReduceMean(n over channels) + epsilon) + 1) g

The reductions walk the map once more each, and the factor's five nodes are bookkeeping for a few numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES
from edgevision.passes.convolution import produced_by
from edgevision.passes.graph_pass import PassResult
from edgevision.passes.rewriting import rewrite_all
from edgevision.reparam.matching import is_standard
from edgevision.reparam.rewrite import Rewrite, Step, Weights

__all__ = ["fuse_response_norm"]


def fuse_response_norm(model: ir.Model) -> PassResult:
    """Fuse every response norm of a [Bt, C, H, W] map, in place."""
    return rewrite_all(model, _equation)


def _equation(scaled: ir.Node) -> Rewrite | None:
    if scaled.op_type != "Mul" or not is_standard(scaled):
        return None
    for factor, g in (scaled.inputs, tuple(reversed(scaled.inputs))):
        response = _plus(factor, lambda value: value == 1.0)
        if g is None or response is None:
            continue
        found = _response(response[0], g)
        if found is not None:
            return _fused(scaled, g, *found)
    return None


def _response(value: ir.Value, g: ir.Value) -> tuple[NDArray[np.generic], float] | None:
    """Gamma and epsilon, where `value` is gamma n / (mean n + epsilon) with n the norm of `g`."""
    product = produced_by(value, "Mul")
    if product is None or g.shape is None or len(g.shape) != 4:
        return None
    for constant, quotient in (product.inputs, tuple(reversed(product.inputs))):
        gamma, share = _constant(constant), produced_by(quotient, "Div")
        if gamma is None or share is None or gamma.shape != (1, g.shape[1], 1, 1):
            continue
        norm, mean = share.inputs[0], _plus(share.inputs[1], lambda value: 0 < value < 1)
        averaged = None if mean is None else produced_by(mean[0], "ReduceMean")
        total = produced_by(norm, "ReduceL2")
        if mean is None or averaged is None or total is None or averaged.inputs[0] is not norm:
            continue
        if total.inputs[0] is g and _over(total, [2, 3]) and _over(averaged, [1]):
            return gamma, mean[1]
    return None


def _fused(scaled: ir.Node, g: ir.Value, gamma: NDArray[np.generic], epsilon: float) -> Rewrite:
    gelu = produced_by(g, "Gelu")
    inside = gelu is not None and gelu.attributes.get_string("approximate", "none") == "none" and _read_twice(g)
    x = gelu.inputs[0] if inside and gelu is not None else g
    assert x is not None  # Gelu's input is required
    new = Step(
        op_type="EvResponseNorm",
        inputs=(x, Weights(array=gamma.reshape(-1).astype(np.float64), name="gamma", dtype=np.dtype(np.float32))),
        attributes={"epsilon": epsilon, "gelu": int(inside), **PLUGIN_ATTRIBUTES},
        shape=scaled.outputs[0].shape,
        domain=DOMAIN,
    )
    return Rewrite(equation="fuse_response_norm", old=(scaled,), new=new, probes={})


def _read_twice(g: ir.Value) -> bool:
    """Only by the norm and the product: otherwise the map behind the GELU is needed anyway."""
    return len(tuple(g.uses())) == 2 and not g.is_graph_output()


def _plus(value: ir.Value | None, accept: Callable[[float], bool]) -> tuple[ir.Value, float] | None:
    """What is added to an acceptable constant, and the constant, where `value` is such a sum."""
    total = produced_by(value, "Add")
    if total is None:
        return None
    for other, constant in (total.inputs, tuple(reversed(total.inputs))):
        number = _constant(constant)
        if other is not None and number is not None and number.size == 1 and accept(float(number.reshape(()))):
            return other, float(number.reshape(()))
    return None


def _over(reduction: ir.Node, axes: list[int]) -> bool:
    """Whether it reduces these of four axes and keeps them as ones."""
    given = _constant(reduction.inputs[1]) if len(reduction.inputs) > 1 else None
    kept = reduction.attributes.get_int("keepdims", 1) == 1
    return kept and given is not None and sorted(int(axis) % 4 for axis in given.reshape(-1)) == axes


def _constant(value: ir.Value | None) -> NDArray[np.generic] | None:
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()
