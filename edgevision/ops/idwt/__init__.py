"""One level of the inverse 2-d discrete wavelet transform, with the filters as an input.

y[c, 2i - lead + m, 2j - lead + n] += x[c, s, i, j] filters[s, m, n]: PyWavelets' `idwt2` when the filters are outer
products of a wavelet's reconstruction filters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgevision.ops.emit import emit
from edgevision.ops.idwt.reference import reference
from edgevision.ops.idwt.torch_op import idwt
from edgevision.ops.operator import Attribute, Operator, Tensor

__all__ = ["OPERATOR", "idwt"]


def _translate(x: Any, filters: Any, mode: str = "zero", crop: Sequence[int] = (0, 0)) -> Any:
    return emit(OPERATOR, (x, filters), {"mode": mode, "crop": tuple(crop)})


OPERATOR = Operator(
    name="EvIDWT",
    doc="y[c, 2i-lead+m, 2j-lead+n] += x[c,s,i,j] filters[s,m,n], the transpose of EvDWT. Full size 2h-k+2 in mode "
    "zero (lead = k-2) and 2h, periodic, in mode periodization (lead = k/2-1), as in PyWavelets' idwt2; crop then drops "
    "trailing rows and columns.",
    inputs=(
        Tensor(name="x", shape="[Bt, C, 4, h, w]", doc="sub-bands in the order of the filters"),
        Tensor(
            name="filters",
            shape="[4C, 1, k, k] or [4, 1, k, k]",
            doc="per channel or shared by all, k even, the weight of a transposed convolution",
        ),
    ),
    outputs=(Tensor(name="y", shape="[Bt, C, H, W]"),),
    attributes=(
        Attribute(name="mode", kind="string", default="zero", doc="zero or periodization"),
        Attribute(name="crop", kind="ints", default=(0, 0), doc="rows dropped at the bottom, columns at the right"),
    ),
    reference=reference,
    bodies={},
    torch_op="edgevision::idwt",
    translate=_translate,
)
