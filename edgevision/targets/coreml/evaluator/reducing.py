"""Reductions, cumulative sums, sorting."""

from __future__ import annotations

from collections.abc import Callable

import torch

from edgevision.targets.coreml.evaluator.semantics import Arguments, computes

__all__: list[str] = []

Tensor = torch.Tensor


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = x.prod(dim=axis, keepdim=keep)
    return x


_REDUCE: dict[str, Callable[[Tensor, list[int], bool], Tensor]] = {
    "reduce_l1_norm": lambda x, axes, keep: x.abs().sum(axes, keep),
    "reduce_l2_norm": lambda x, axes, keep: x.square().sum(axes, keep).sqrt(),
    "reduce_log_sum": lambda x, axes, keep: x.sum(axes, keep).log(),
    "reduce_log_sum_exp": lambda x, axes, keep: torch.logsumexp(x, axes, keep),
    "reduce_max": lambda x, axes, keep: x.amax(axes, keep),
    "reduce_mean": lambda x, axes, keep: x.mean(axes, keep),
    "reduce_min": lambda x, axes, keep: x.amin(axes, keep),
    "reduce_prod": _product,
    "reduce_sum": lambda x, axes, keep: x.sum(axes, keep),
    "reduce_sum_square": lambda x, axes, keep: x.square().sum(axes, keep),
}


@computes(*_REDUCE)
def _reduce(op: Arguments) -> Tensor:
    x = op.tensor("x")
    axes = sorted({axis % x.ndim for axis in op.ints("axes", range(x.ndim))})
    return _REDUCE[op.operation.kind](x, axes, op.flag("keep_dims", False))


@computes("reduce_argmax")
def _argmax(op: Arguments) -> Tensor:
    return op.tensor("x").argmax(op.integer("axis", -1), op.flag("keep_dims", True))


@computes("reduce_argmin")
def _argmin(op: Arguments) -> Tensor:
    return op.tensor("x").argmin(op.integer("axis", -1), op.flag("keep_dims", True))


@computes("cumsum")
def _cumsum(op: Arguments) -> Tensor:
    x, axis = op.tensor("x"), op.integer("axis", 0)
    x = x.flip(axis) if op.flag("reverse", False) else x
    total = x.cumsum(axis)
    total = total - x if op.flag("exclusive", False) else total
    return total.flip(axis) if op.flag("reverse", False) else total


@computes("topk")
def _topk(op: Arguments) -> tuple[Tensor, Tensor]:
    x, axis, k = op.tensor("x"), op.integer("axis", -1), op.integer("k", 1)
    order = torch.argsort(x, dim=axis, descending=not op.flag("ascending", False), stable=True)
    order = order.narrow(axis, 0, k)
    return x.gather(axis, order), order


@computes("argsort")
def _argsort(op: Arguments) -> Tensor:
    return torch.argsort(
        op.tensor("x"), dim=op.integer("axis", -1), descending=not op.flag("ascending", False), stable=True
    )


@computes("non_zero")
def _non_zero(op: Arguments) -> Tensor:
    return torch.nonzero(op.tensor("x"))
