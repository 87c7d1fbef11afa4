"""What EvDWT and EvIDWT share as plugins: the constants of a filter bank and runs of output positions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from edgevision.targets.tensorrt.plugins.plugin import Call, block_for

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["constants", "draw", "lead", "shrink", "taps", "why_not"]

X, FILTERS = 0, 1
MAX_BLOCK: Final = 1024


def taps(call: Call) -> int:
    """Taps of a filter along one axis."""
    return call.static(FILTERS, 3)


def lead(count: int, mode: object) -> int:
    """How far the first output's window starts before the image, as in PyWavelets."""
    return count - 2 if mode == "zero" else count // 2 - 1


def constants(call: Call, positions: int | None) -> dict[str, int]:
    """Compile-time constants of either kernel, for `positions` outputs a channel (None: dynamic)."""
    return {
        "TAPS": taps(call),
        "LEAD": lead(taps(call), call.attributes["mode"]),
        "SHARED_FILTERS": int(call.static(FILTERS, 0) == 4),
        "PERIODIC": int(call.attributes["mode"] == "periodization"),
        "BLOCK": block_for(positions, MAX_BLOCK),
    }


def why_not(call: Call) -> str:
    """Modes the kernels do not have."""
    mode = call.attributes["mode"]
    return "" if mode in ("zero", "periodization") else f"mode {mode!r}"


def shrink(call: Call) -> Call:
    """Two samples of at most four channels."""
    image, filters = call.dims(X), call.dims(FILTERS)
    channels = min(4, call.static(X, 1))
    bank = filters[0] if filters[0] == 4 else 4 * channels
    return replace(call, shapes=((2, channels, *image[2:]), (bank, *filters[1:])))


def draw(call: Call, random: np.random.Generator) -> list[NDArray[np.float32] | None]:
    """Normal samples and normal taps: a filter bank of no symmetry lets no swapped index pass."""
    import numpy as np

    return [
        random.standard_normal([call.static(index, axis) for axis in range(len(call.dims(index)))]).astype(np.float32)
        for index in (X, FILTERS)
    ]
