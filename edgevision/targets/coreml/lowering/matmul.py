"""Matrix products. A constant right-hand matrix becomes MIL's `linear`, which later passes fuse with its bias."""

from __future__ import annotations

from coremltools.converters.mil.mil import Builder as mb

from edgevision.targets.coreml.lowering.dtypes import is_float, like, numpy_type
from edgevision.targets.coreml.lowering.table import Call, MilVar, lowers

__all__: list[str] = []


@lowers("MatMul")
def _matmul(call: Call) -> MilVar:
    x = call.var(0)
    known = call.known(1)
    if known is not None and known.ndim == 2 and 2 <= x.rank <= 3 and is_float(x):
        return mb.linear(x=x, weight=known.T.astype(numpy_type(x)))
    y = call.var(1)
    if x.rank == 1 and y.rank == 1:
        return mb.reduce_sum(x=mb.mul(x=x, y=y), axes=[0], keep_dims=False)
    left = mb.expand_dims(x=x, axes=[0]) if x.rank == 1 else x
    right = mb.expand_dims(x=y, axes=[1]) if y.rank == 1 else y
    rank = max(left.rank, right.rank)
    left, right = _ranked(left, rank), _ranked(right, rank)
    product = mb.matmul(x=left, y=right)
    if x.rank == 1:
        return mb.squeeze(x=product, axes=[rank - 2])
    return mb.squeeze(x=product, axes=[rank - 1]) if y.rank == 1 else product


def _ranked(x: MilVar, rank: int) -> MilVar:
    return mb.expand_dims(x=x, axes=list(range(rank - x.rank))) if x.rank < rank else x


@lowers("Gemm")
def _gemm(call: Call) -> MilVar:
    # alpha A' B' + beta C
    a, alpha, beta = call.var(0), call.number("alpha", 1.0), call.number("beta", 1.0)
    transposed = bool(call.integer("transB", 0))
    if call.integer("transA", 0):
        a = mb.transpose(x=a, perm=[1, 0])
    known = call.known(1)
    if known is not None and is_float(a):
        weight = known if transposed else known.T
        y = mb.linear(x=a, weight=(weight if alpha == 1.0 else weight * alpha).astype(numpy_type(a)))
    else:
        y = mb.matmul(x=a, y=call.var(1), transpose_y=transposed)
        y = y if alpha == 1.0 else mb.mul(x=y, y=like(y, alpha))
    if not call.given(2):
        return y
    bias = call.var(2)
    return mb.add(x=y, y=bias if beta == 1.0 else mb.mul(x=bias, y=like(bias, beta)))
