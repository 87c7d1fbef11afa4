"""Second moments G = E[x x^T] of what each linear operator reads: they say how a change of its weights changes its output.

For a convolution x is a patch, C k k numbers of one group. Patches are drawn at random positions, as many from every
image, and gathered there alone. G takes K x K float32 for a fan-in of K: operators are taken in parts whose matrices fit
`LARGEST_BYTES` together, one reading of the images each; one whose matrix alone does not fit is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edgevision.calibration.source import Source
from edgevision.quantize.observe import values_of
from edgevision.quantize.plan import weight_axis
from edgevision.reparam.padding import padding

__all__ = ["LARGEST_BYTES", "second_moments"]

Array = NDArray[Any]

#: Of all matrices that are held at a time: a fan-in of 8,192.
LARGEST_BYTES = 2**28
#: Positions of a map that are drawn per image.
_POSITIONS = 64
#: Rows that are gathered before they are multiplied: a product of few rows costs as much as one of many.
_BLOCK = 1024


def second_moments(
    model: ir.Model, nodes: Sequence[ir.Node], source: Source, limit: int | None = None, seed: int = 0
) -> Iterator[tuple[ir.Node, Array]]:
    """Operators with their G, [groups, K, K] float32, part by part.

    Args:
        model: the float graph that has `nodes`.
        nodes: linear operators with constant weights.
        source: of images.
        limit: on their number.
        seed: of the positions that are drawn.
    """
    for part in _parts(nodes):
        rng = np.random.default_rng(seed)
        sums = [_Sum(node) for node in part]
        names = list(dict.fromkeys(s.reads for s in sums))
        for seen in values_of(model, names, source, limit):
            for each in sums:
                each.add(np.asarray(seen[each.reads], np.float32), rng)
        yield from ((s.node, s.mean()) for s in sums)


def _parts(nodes: Sequence[ir.Node]) -> Iterator[list[ir.Node]]:
    part, held = list[ir.Node](), 0
    for node in nodes:
        size = 4 * _groups(node) * _fan_in(node) ** 2
        if size > LARGEST_BYTES:
            continue
        if held + size > LARGEST_BYTES:
            yield part
            part, held = [], 0
        part.append(node)
        held += size
    if part:
        yield part


class _Sum:
    """The sum of x x^T for one operator, over rows as they come."""

    def __init__(self, node: ir.Node) -> None:
        given = node.inputs[0]
        assert given is not None  # a linear operator reads something
        self.node, self.reads = node, str(given.name)
        self._sum = np.zeros((_groups(node), _fan_in(node), _fan_in(node)), np.float32)
        self._rows: list[Array] = []
        self._waiting = self._count = 0

    def add(self, x: Array, rng: np.random.Generator) -> None:
        rows = _patches(self.node, x, rng) if self.node.op_type == "Conv" else _drawn_rows(x, rng)
        self._rows.append(rows)
        self._waiting += rows.shape[1]
        if self._waiting >= _BLOCK:
            self._flush()

    def mean(self) -> Array:
        self._flush()
        return self._sum / np.float32(max(self._count, 1))

    def _flush(self) -> None:
        if self._rows:
            rows = np.concatenate(self._rows, axis=1)
            self._sum += rows.swapaxes(1, 2) @ rows
            self._count += self._waiting
            self._rows, self._waiting = [], 0


def _groups(node: ir.Node) -> int:
    return int(node.attributes.get_int("group", 1)) if node.op_type == "Conv" else 1


def _fan_in(node: ir.Node) -> int:
    weight = node.inputs[1]
    shape = () if weight is None or weight.shape is None else tuple(weight.shape.numpy())
    outputs = shape[weight_axis(node)]
    return int(np.prod(shape)) // int(outputs)


def _drawn_rows(x: Array, rng: np.random.Generator) -> Array:
    """Rows of a matrix product's input [images, ..., K], as [1, rows, K]."""
    flat = x.reshape(-1, x.shape[-1])
    wanted = _POSITIONS * len(x)
    return (flat if wanted >= len(flat) else flat[rng.choice(len(flat), wanted, replace=False)])[None]


def _patches(node: ir.Node, x: Array, rng: np.random.Generator) -> Array:
    """What single outputs of a convolution see, [groups, rows, K]."""
    weight = node.inputs[1]
    assert weight is not None and weight.shape is not None  # a linear operator with a constant weight
    kernel = np.array(weight.shape.numpy()[2:])
    dims = len(kernel)
    strides, dilations = (np.array(node.attributes.get_ints(name, (1,) * dims)) for name in ("strides", "dilations"))
    pads = padding(node, tuple(kernel))
    assert pads is not None  # admitted graphs have static sizes
    padded = np.pad(x, [(0, 0), (0, 0), *zip(*pads, strict=True)])
    windows = sliding_window_view(padded, tuple((kernel - 1) * dilations + 1), axis=tuple(range(2, 2 + dims)))
    windows = windows[(slice(None), slice(None), *(slice(None, None, s) for s in (*strides, *dilations)))]
    positions = windows.shape[2 : 2 + dims]
    count = int(np.prod(positions))
    chosen = np.arange(count) if count <= _POSITIONS else rng.choice(count, _POSITIONS, replace=False)
    at: tuple[Any, ...] = np.unravel_index(chosen, positions)
    patches = windows[(slice(None), slice(None), *at)]  # [N, C, rows, *kernel]
    rows = patches.swapaxes(1, 2).reshape(len(x) * len(chosen), _groups(node), -1)
    return np.ascontiguousarray(rows.swapaxes(0, 1))
