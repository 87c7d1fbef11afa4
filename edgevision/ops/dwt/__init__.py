"""One level of the 2-d discrete wavelet transform, with the filters as an input.

y[c, s, i, j] = sum_{m,n} x[c, 2i - lead + m, 2j - lead + n] filters[s, m, n]: PyWavelets' `dwt2` when the filters are
outer products of a wavelet's reversed decomposition filters; they need be neither separable nor orthogonal.
"""

from __future__ import annotations

from typing import Any

from edgevision.ops.dwt.bodies import BODIES
from edgevision.ops.dwt.reference import example, reference
from edgevision.ops.dwt.schema import ATTRIBUTES, INPUTS, NAME
from edgevision.ops.dwt.torch_op import dwt
from edgevision.ops.emit import emit
from edgevision.ops.operator import Operator, Tensor

__all__ = ["OPERATOR", "dwt"]


def _translate(x: Any, filters: Any, mode: str = "zero") -> Any:
    return emit(OPERATOR, (x, filters), {"mode": mode})


OPERATOR = Operator(
    name=NAME,
    doc="y[c,s,i,j] = sum_{m,n} x[c, 2i-lead+m, 2j-lead+n] filters[s,m,n], one level with stride 2. Mode zero: zeros "
    "outside, lead = k-2, H' = (H+k-1)//2. Mode periodization: an odd axis repeats its last sample, then the signal is "
    "periodic, lead = k/2-1, H' = ceil(H/2). Both as in PyWavelets' dwt2.",
    inputs=INPUTS,
    outputs=(Tensor(name="y", shape="[Bt, C, 4, H', W']", doc="sub-bands in the order of the filters"),),
    attributes=ATTRIBUTES,
    reference=reference,
    example=example,
    bodies=BODIES,
    torch_op="edgevision::dwt",
    translate=_translate,
)
