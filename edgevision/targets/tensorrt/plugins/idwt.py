"""EvIDWT as a plugin: one program per run of output pixels of a channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgevision.targets.tensorrt.plugins import wavelet
from edgevision.targets.tensorrt.plugins.plugin import Attribute, Call, Input, Launch, Plugin

__all__ = ["PLUGIN"]

X, FILTERS = 0, 1


def _doubled(size: Any, taps: Any, mode: object, crop: int) -> Any:
    whole = 2 * size - taps + 2 if mode == "zero" else 2 * size
    return whole - crop


def _crop(attributes: Mapping[str, Attribute]) -> tuple[int, int]:
    crop = attributes["crop"]
    if not isinstance(crop, tuple) or len(crop) != 2:
        raise TypeError(f"crop is {crop!r}, not two integers")
    return crop


def _constants(call: Call) -> dict[str, int]:
    taps, mode = wavelet.taps(call), call.attributes["mode"]
    bottom, right = _crop(call.attributes)
    height, width = call.dims(X)[3:]
    known = height is not None and width is not None
    size = _doubled(height, taps, mode, bottom) * _doubled(width, taps, mode, right) if known else None
    return wavelet.constants(call, size)


def _launch(call: Call, constants: Mapping[str, int]) -> Launch:
    samples, channels, _, height, width = (call.static(X, axis) for axis in range(5))
    taps, mode = wavelet.taps(call), call.attributes["mode"]
    bottom, right = _crop(call.attributes)
    out_height, out_width = _doubled(height, taps, mode, bottom), _doubled(width, taps, mode, right)
    blocks = (out_height * out_width + constants["BLOCK"] - 1) // constants["BLOCK"]
    return Launch(programs=samples * channels * blocks, scalars=(channels, height, width, out_height, out_width))


def _output(shapes: Sequence[Sequence[Any]], attributes: Mapping[str, Attribute]) -> tuple[Any, ...]:
    samples, channels, _, height, width = shapes[X]
    taps, mode = shapes[FILTERS][3], attributes["mode"]
    bottom, right = _crop(attributes)
    return samples, channels, _doubled(height, taps, mode, bottom), _doubled(width, taps, mode, right)


PLUGIN = Plugin(
    operator="EvIDWT",
    kernel="idwt",
    inputs=(Input(name="x"), Input(name="filters", data=False)),
    attributes={"mode": "zero", "crop": (0, 0)},
    scalars=("channels", "height", "width", "out_height", "out_width"),
    constants=_constants,
    launch=_launch,
    output=_output,
    why_not=wavelet.why_not,
    shrink=wavelet.shrink,
    draw=wavelet.draw,
)
