"""How large the random input of a proof must be.

A shift-invariant operator needs no image: a map on which every tap of the kernel meets real input somewhere and both
borders are seen proves the rest. The true size is kept modulo the stride, since what a strided operator drops at the
far border depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.reparam.conv_kernel import ConvKernel
from edgevision.reparam.linear_op import LinearOp
from edgevision.reparam.padding import static_sizes

__all__ = ["probe_of", "probe_sizes"]

_ROWS = 5  # samples of an operator without a spatial extent, enough for a standard deviation


def _probe_size(*, extent: int, pads: tuple[int, int], stride: int, true: int | None) -> int:
    """One spatial size of the probe for a kernel of `extent` taps, its gaps included."""
    least = max(extent - min(pads), extent - sum(pads), 1) + stride
    if true is None:
        return least + 1
    return min(true, least + (true - least) % stride)


def probe_sizes(kernel: ConvKernel, true: tuple[int, ...] | None) -> tuple[int, ...]:
    """Spatial sizes of the map on which a kernel is proven; `true` are the graph's own, where known."""
    return tuple(
        _probe_size(
            extent=kernel.extents[axis],
            pads=(kernel.begin[axis], kernel.end[axis]),
            stride=kernel.strides[axis],
            true=None if true is None else true[axis],
        )
        for axis in range(len(kernel.taps))
    )


def probe_of(op: LinearOp) -> tuple[int, ...]:
    """Input shape on which the linear operator is proven."""
    node, taps = op.nodes[0], op.kernel.shape[3:]
    if op.kind == "MatMul":
        rank = op.x.shape.rank() if op.x.shape is not None else 2
        return (*(_leading(rank - 1)), op.inputs)
    if not taps:
        return (_ROWS, op.inputs)
    rank = len(taps)
    strides: Sequence[int] = node.attributes.get_ints("strides", (1,) * rank)
    dilations: Sequence[int] = node.attributes.get_ints("dilations", (1,) * rank)
    pads: Sequence[int] = node.attributes.get_ints("pads", (0,) * 2 * rank)
    true = static_sizes(op.x) or (None,) * rank
    return (
        1,
        op.inputs,
        *(
            _probe_size(
                extent=dilations[i] * (taps[i] - 1) + 1, pads=(pads[i], pads[rank + i]), stride=strides[i], true=true[i]
            )
            for i in range(rank)
        ),
    )


def _leading(count: int) -> tuple[int, ...]:
    return (*(1,) * (count - 1), _ROWS) if count else ()
