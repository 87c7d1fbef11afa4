"""Windows of convolutions and pools: pads in MIL's order, `auto_pad`, and what `ceil_mode` adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from edgevision.targets.coreml.lowering.table import Call

__all__ = ["Window", "window_of"]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A sliding window, one entry an axis.

    Attributes:
        pads: (before, after) pairs.
        overhang: what `ceil_mode` reads beyond the padded end.
        outputs: output sizes.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    overhang: tuple[int, ...]
    outputs: tuple[int, ...]

    def flat_pads(self) -> list[int]:
        """Pads as MIL wants them: before, after, axis by axis."""
        return [amount for pair in self.pads for amount in pair]


def window_of(call: Call, spatial: Sequence[int], kernel: Sequence[int]) -> Window:
    """The window that a convolution's or a pool's attributes describe over the axes `spatial`."""
    rank = len(spatial)
    strides = call.ints("strides") or [1] * rank
    dilations = call.ints("dilations") or [1] * rank
    extents = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    pads = _pads(call, spatial, extents, strides)
    ceiling = bool(call.integer("ceil_mode", 0))
    outputs, overhang = [], []
    for size, extent, stride, (before, after) in zip(spatial, extents, strides, pads, strict=True):
        room = size + before + after - extent
        steps = ceil(room / stride) if ceiling else room // stride
        # A window that would start beyond the data and its leading pad does not count.
        if ceiling and steps * stride >= size + before:
            steps -= 1
        outputs.append(steps + 1)
        overhang.append(max(0, steps * stride - room))
    return Window(
        kernel=tuple(kernel),
        strides=tuple(strides),
        dilations=tuple(dilations),
        pads=tuple(pads),
        overhang=tuple(overhang),
        outputs=tuple(outputs),
    )


def _pads(call: Call, spatial: Sequence[int], extents: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    rank, auto = len(spatial), call.text("auto_pad", "NOTSET")
    if auto == "VALID":
        return [(0, 0)] * rank
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pairs = []
        for size, extent, stride in zip(spatial, extents, strides, strict=True):
            total = max((ceil(size / stride) - 1) * stride + extent - size, 0)
            small, large = total // 2, total - total // 2
            pairs.append((small, large) if auto == "SAME_UPPER" else (large, small))
        return pairs
    flat = call.ints("pads") or [0] * (2 * rank)
    return list(zip(flat[:rank], flat[rank:], strict=True))
