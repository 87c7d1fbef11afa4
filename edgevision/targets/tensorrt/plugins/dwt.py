"""EvDWT as a plugin: one program per run of output positions of a channel, all four sub-bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgevision.targets.tensorrt.plugins import wavelet
from edgevision.targets.tensorrt.plugins.plugin import Attribute, Call, Input, Launch, Plugin

__all__ = ["PLUGIN"]

X, FILTERS = 0, 1


def _halved(size: Any, taps: int, mode: object) -> Any:
    return (size + taps - 1) // 2 if mode == "zero" else (size + 1) // 2


def _constants(call: Call) -> dict[str, int]:
    taps, mode = wavelet.taps(call), call.attributes["mode"]
    height, width = call.dims(X)[2:]
    known = height is not None and width is not None
    return wavelet.constants(call, _halved(height, taps, mode) * _halved(width, taps, mode) if known else None)


def _launch(call: Call, constants: Mapping[str, int]) -> Launch:
    samples, channels, height, width = (call.static(X, axis) for axis in range(4))
    taps, mode = wavelet.taps(call), call.attributes["mode"]
    out_height, out_width = _halved(height, taps, mode), _halved(width, taps, mode)
    blocks = (out_height * out_width + constants["BLOCK"] - 1) // constants["BLOCK"]
    return Launch(programs=samples * channels * blocks, scalars=(channels, height, width, out_height, out_width))


def _output(shapes: Sequence[Sequence[Any]], attributes: Mapping[str, Attribute]) -> tuple[Any, ...]:
    samples, channels, height, width = shapes[X]
    taps, mode = shapes[FILTERS][3], attributes["mode"]
    return samples, channels, 4, _halved(height, taps, mode), _halved(width, taps, mode)


PLUGIN = Plugin(
    operator="EvDWT",
    kernel="dwt",
    inputs=(Input(name="x"), Input(name="filters", data=False)),
    attributes={"mode": "zero"},
    scalars=("channels", "height", "width", "out_height", "out_width"),
    constants=_constants,
    launch=_launch,
    output=_output,
    why_not=wavelet.why_not,
    shrink=wavelet.shrink,
    draw=wavelet.draw,
)
