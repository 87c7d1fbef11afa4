"""One level of the 2-d discrete wavelet transform, with the filters as an input.

y[c, s, i, j] = sum_{m,n} x[c, 2i - lead + m, 2j - lead + n] filters[s, m, n]: PyWavelets' `dwt2` when the filters are
outer products of a wavelet's reversed decomposition filters; they need be neither separable nor orthogonal.
"""

from __future__ import annotations

from typing import Any

from edgevision.ops.dwt.reference import reference
from edgevision.ops.dwt.torch_op import dwt
from edgevision.ops.emit import emit
from edgevision.ops.operator import Attribute, Operator, Tensor

__all__ = ["OPERATOR", "dwt"]


def _translate(x: Any, filters: Any, mode: str = "zero") -> Any:
    return emit(OPERATOR, (x, filters), {"mode": mode})


OPERATOR = Operator(
    name="EvDWT",
    doc="y[c,s,i,j] = sum_{m,n} x[c, 2i-lead+m, 2j-lead+n] filters[s,m,n], one level with stride 2. Mode zero: zeros "
    "outside, lead = k-2, H' = (H+k-1)//2. Mode periodization: an odd axis repeats its last sample, then the signal is "
    "periodic, lead = k/2-1, H' = ceil(H/2). Both as in PyWavelets' dwt2.",
    inputs=(
        Tensor(name="x", shape="[Bt, C, H, W]", doc="image or feature map"),
        Tensor(
            name="filters",
            shape="[4C, 1, k, k] or [4, 1, k, k]",
            doc="per channel or shared by all, k even, correlation orientation",
        ),
    ),
    outputs=(Tensor(name="y", shape="[Bt, C, 4, H', W']", doc="sub-bands in the order of the filters"),),
    attributes=(Attribute(name="mode", kind="string", default="zero", doc="zero or periodization"),),
    reference=reference,
    bodies={},
    torch_op="edgevision::dwt",
    translate=_translate,
)
