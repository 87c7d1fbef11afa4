"""The zeros a Conv or an AveragePool puts around its map, written out along each axis.

    SAME_UPPER, SAME_LOWER    begin + end = max(extent - r, 0)    r = n mod stride, or stride where that is 0

for a map of n positions and a kernel that spans `extent` of them; of an odd number the larger half lies at the end for
SAME_UPPER, at the beginning for SAME_LOWER. With stride 1 the size of the map does not matter.
"""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["padding", "static_sizes"]


def padding(node: ir.Node, taps: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """What is put before and behind the map; None where that depends on a size which is not known."""
    spatial = len(taps)
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    if not auto.startswith("SAME"):
        pads = tuple(node.attributes.get_ints("pads", ())) if auto != "VALID" else ()
        return (pads[:spatial], pads[spatial:]) if pads else ((0,) * spatial, (0,) * spatial)
    strides = tuple(node.attributes.get_ints("strides", (1,) * spatial))
    dilations = tuple(node.attributes.get_ints("dilations", (1,) * spatial))
    sizes = strides if set(strides) == {1} else static_sizes(node.inputs[0])
    if sizes is None:
        return None
    totals = [
        max(d * (k - 1) + 1 - (n % s or s), 0) for n, k, s, d in zip(sizes, taps, strides, dilations, strict=True)
    ]
    small, large = tuple(total // 2 for total in totals), tuple(total - total // 2 for total in totals)
    return (small, large) if auto == "SAME_UPPER" else (large, small)


def static_sizes(value: ir.Value | None) -> tuple[int, ...] | None:
    """The spatial sizes of [N, C, ...], None where one of them is unknown."""
    if value is None or value.shape is None:
        return None
    sizes = tuple(value.shape)[2:]
    known = tuple(size for size in sizes if isinstance(size, int))
    return known if len(known) == len(sizes) else None
