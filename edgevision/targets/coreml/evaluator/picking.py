"""Gathers and scatters.

Negative indices count from the end up to iOS 16 only; nothing written here relies on them, and one is an error.
"""

from __future__ import annotations

import torch

from edgevision.targets.coreml.evaluator.semantics import Arguments, computes

__all__: list[str] = []

Tensor = torch.Tensor


def _index(op: Arguments) -> Tensor:
    return op.tensor("indices").long()


def _within(indices: Tensor, size: int, op: Arguments) -> Tensor:
    if indices.numel() and (int(indices.min()) < 0 or int(indices.max()) >= size):
        raise IndexError(f"{op.operation.name}: an index is outside its axis of {size}")
    return indices


def _unflattened(rows: Tensor, x: Tensor, batch: int) -> Tensor:
    return rows.reshape([*x.shape[:batch], *rows.shape[1:]])


@computes("gather")
def _gather(op: Arguments) -> Tensor:
    x, batch = op.tensor("x"), op.integer("batch_dims", 0)
    axis = op.integer("axis", 0) % x.ndim
    indices = _within(_index(op), x.shape[axis], op)
    if batch == 0:
        picked = x.index_select(axis, indices.reshape(-1))
        return picked.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])
    flat_x, flat_i = x.flatten(0, batch - 1), indices.flatten(0, batch - 1)
    rows = [
        torch.index_select(row, axis - batch, where.reshape(-1)).reshape(
            [*row.shape[: axis - batch], *where.shape, *row.shape[axis - batch + 1 :]]
        )
        for row, where in zip(flat_x, flat_i, strict=True)
    ]
    return _unflattened(torch.stack(rows), x, batch)


@computes("gather_along_axis")
def _gather_along_axis(op: Arguments) -> Tensor:
    x, axis = op.tensor("x"), op.integer("axis", 0)
    return x.gather(axis, _within(_index(op), x.shape[axis], op))


@computes("gather_nd")
def _gather_nd(op: Arguments) -> Tensor:
    x, indices, batch = op.tensor("x"), _index(op), op.integer("batch_dims", 0)
    if batch == 0:
        return x[tuple(indices.unbind(-1))]
    flat_x, flat_i = x.flatten(0, batch - 1), indices.flatten(0, batch - 1)
    rows = [row[tuple(where.unbind(-1))] for row, where in zip(flat_x, flat_i, strict=True)]
    return _unflattened(torch.stack(rows), x, batch)


_REDUCTION = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def _scattered(x: Tensor, axis: int, indices: Tensor, updates: Tensor, mode: str) -> Tensor:
    if mode == "update":
        return x.scatter(axis, indices, updates)
    if mode in ("sub", "div"):
        updates, mode = (-updates, "add") if mode == "sub" else (1 / updates, "mul")
    return x.scatter_reduce(axis, indices, updates, _REDUCTION[mode], include_self=True)


@computes("scatter_along_axis")
def _scatter_along_axis(op: Arguments) -> Tensor:
    x, axis = op.tensor("data"), op.integer("axis", 0)
    indices = _within(_index(op), x.shape[axis], op)
    return _scattered(x, axis, indices, op.tensor("updates"), op.text("mode", "add"))


@computes("scatter")
def _scatter(op: Arguments) -> Tensor:
    x, axis, updates = op.tensor("data"), op.integer("axis", 0), op.tensor("updates")
    axis = axis % x.ndim
    indices = _within(_index(op), x.shape[axis], op).reshape(-1)
    shape = [-1 if a == axis else 1 for a in range(x.ndim)]
    spread = indices.reshape(shape).expand(updates.reshape([*x.shape[:axis], -1, *x.shape[axis + 1 :]]).shape)
    return _scattered(x, axis, spread, updates.reshape(spread.shape), op.text("mode", "add"))


@computes("scatter_nd")
def _scatter_nd(op: Arguments) -> Tensor:
    x, indices, updates = op.tensor("data"), _index(op), op.tensor("updates")
    depth = indices.shape[-1]
    lead, rest = list(x.shape[:depth]), list(x.shape[depth:])
    flat = torch.zeros(indices.shape[:-1], dtype=torch.int64)
    for component, size in zip(indices.unbind(-1), lead, strict=True):
        flat = flat * size + _within(component, size, op)
    rows = x.reshape(-1, max(1, int(torch.tensor(rest).prod())) if rest else 1)
    spread = flat.reshape(-1, 1).expand(-1, rows.shape[1])
    return _scattered(rows, 0, spread, updates.reshape(spread.shape), op.text("mode", "add")).reshape(x.shape)
