"""One level of the inverse 2-d discrete wavelet transform, with the filters as an input.

y[c, 2i - lead + m, 2j - lead + n] += x[c, s, i, j] filters[s, m, n]: PyWavelets' `idwt2` when the filters are outer
products of a wavelet's reconstruction filters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgevision.ops.emit import emit
from edgevision.ops.idwt.bodies import BODIES
from edgevision.ops.idwt.reference import example, reference
from edgevision.ops.idwt.schema import ATTRIBUTES, INPUTS, NAME
from edgevision.ops.idwt.torch_op import idwt
from edgevision.ops.operator import Operator, Tensor

__all__ = ["OPERATOR", "idwt"]


def _translate(x: Any, filters: Any, mode: str = "zero", crop: Sequence[int] = (0, 0)) -> Any:
    return emit(OPERATOR, (x, filters), {"mode": mode, "crop": tuple(crop)})


OPERATOR = Operator(
    name=NAME,
    doc="y[c, 2i-lead+m, 2j-lead+n] += x[c,s,i,j] filters[s,m,n], the transpose of EvDWT. Full size 2h-k+2 in mode "
    "zero (lead = k-2) and 2h, periodic, in mode periodization (lead = k/2-1), as in PyWavelets' idwt2; crop then drops "
    "trailing rows and columns.",
    inputs=INPUTS,
    outputs=(Tensor(name="y", shape="[Bt, C, H, W]"),),
    attributes=ATTRIBUTES,
    reference=reference,
    example=example,
    bodies=BODIES,
    torch_op="edgevision::idwt",
    translate=_translate,
)
