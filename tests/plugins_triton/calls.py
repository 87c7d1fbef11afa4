"""Calls of the three operators, as the plugins describe them, for the kernels' tests."""

from __future__ import annotations

from edgevision.targets.tensorrt.plugins.plugin import Call, ElementType, plugins

__all__ = ["dwt", "idwt", "scan"]


def _types(operator: str, shapes: tuple[tuple[int | None, ...] | None, ...], data: ElementType) -> tuple:
    inputs = plugins()[operator].inputs
    return tuple(None if s is None else data if i.data else "fp32" for s, i in zip(shapes, inputs, strict=True))


def scan(
    length: int,
    states: int = 1,
    *,
    reverse: tuple[int, ...] = (0, 1),
    channels: int = 6,
    shared: bool = False,
    skip: bool = True,
    bias: bool = True,
    gate: bool = False,
    softplus: int = 1,
    data: ElementType = "fp32",
    batch: int | None = 2,
) -> tuple[str, Call]:
    groups = len(reverse)
    inner = groups * channels
    shapes = (
        (batch, channels if shared else inner, length),
        (batch, inner, length),
        (inner, states),
        (batch, groups, states, length),
        (batch, groups, states, length),
        (inner,) if skip else None,
        (inner,) if bias else None,
        (batch, inner, length) if gate else None,
    )
    attributes = {"delta_softplus": softplus, "reverse": reverse if any(reverse) else (0,)}
    return "EvSelectiveScan", Call(shapes=shapes, types=_types("EvSelectiveScan", shapes, data), attributes=attributes)


def dwt(
    height: int, width: int, taps: int, mode: str = "zero", *, shared: bool = False, data: ElementType = "fp32"
) -> tuple[str, Call]:
    shapes = ((2, 5, height, width), (4 if shared else 20, 1, taps, taps))
    return "EvDWT", Call(shapes=shapes, types=_types("EvDWT", shapes, data), attributes={"mode": mode})


def idwt(
    height: int,
    width: int,
    taps: int,
    mode: str = "zero",
    *,
    crop: tuple[int, int] = (0, 0),
    shared: bool = False,
    data: ElementType = "fp32",
) -> tuple[str, Call]:
    shapes = ((2, 5, 4, height, width), (4 if shared else 20, 1, taps, taps))
    attributes = {"mode": mode, "crop": crop}
    return "EvIDWT", Call(shapes=shapes, types=_types("EvIDWT", shapes, data), attributes=attributes)
