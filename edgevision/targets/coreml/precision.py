"""Which operations compute in fp16, and which stay in fp32 because fp16 overflows or vanishes in them.

fp16 ends at 65,504 and vanishes below 6e-8. A square overflows from 256 on, a sum of many terms sooner than each term,
exp beyond 11; an epsilon of 1e-12 added under a root is nothing. What these feed (the mean of squares, the root, the
division by it) stays in fp32 too, up to the first operation that is not in `FOLLOWERS`. A product with a constant that
fp16 has not (65,536, in fixed-point activations) stays, and the floor behind it.

The scan is exempt: its rates are never positive and its sums are over a handful of states, so it cannot overflow, and
staying in fp16 keeps it on the Neural Engine. It costs 1e-2 to 3e-2 of the output's std at the worst place, an outlier of
some twenty std, which is what rounding each number of the recurrence to fp16 costs there (docs/coreml.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["FOLLOWERS", "KEPT", "computes_in_fp16"]

#: MIL operations kept in fp32.
KEPT = frozenset(
    {"cumsum", "exp", "exp2", "inverse", "l2_norm", "log", "pow", "reduce_l1_norm", "reduce_l2_norm"}
    | {"reduce_log_sum", "reduce_log_sum_exp", "reduce_prod", "reduce_sum", "reduce_sum_square", "rsqrt", "square"}
    | {"cosh", "sinh", "tan", "local_response_norm"}
)
#: Kept in fp32 while what they read comes from an operation that is.
FOLLOWERS = frozenset({"add", "clip", "floor", "mul", "real_div", "reduce_mean", "sqrt", "sub"})
EXEMPT = frozenset({"EvSelectiveScan"})


def _source(op: Any) -> str:
    """The ONNX op type that an operation was made for."""
    from coremltools.converters.mil.mil.scope import ScopeSource

    found = op.scopes.get(ScopeSource.TORCHSCRIPT_MODULE_TYPE, [""])
    return str(found[-1])


def _squares(op: Any) -> bool:
    return op.op_type == "mul" and op.x is op.y


def _beyond_fp16(op: Any) -> bool:
    """A product with a constant too large for fp16."""
    factors = (op.x.val, op.y.val) if op.op_type == "mul" else ()
    return any(v is not None and np.abs(v).max(initial=0.0) > np.finfo(np.float16).max for v in factors)


def computes_in_fp16(op: Any) -> bool:
    """Whether an operation of the program may be cast to fp16 (an `op_selector` of coremltools)."""
    return not _kept(op, set())


def _kept(op: Any, seen: set[Any]) -> bool:
    if _source(op) in EXEMPT:
        return False
    if op.op_type in KEPT or _squares(op) or _beyond_fp16(op):
        return True
    if op.op_type not in FOLLOWERS or op in seen:
        return False
    seen.add(op)
    producers = [var.op for var in op.inputs.values() if hasattr(var, "op") and var.op is not None]
    # A pass may have put casts between the two by now; they carry the producer's name no further.
    producers = [p.x.op if p.op_type == "cast" and p.x.op is not None else p for p in producers]
    return any(_kept(producer, seen) for producer in producers if not producer.op_type.startswith("const"))
