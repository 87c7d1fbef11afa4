"""EvSelectiveScan as a plugin: one program per few channels of a group, the length in blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from edgevision.targets.tensorrt.plugins.plugin import (
    Attribute,
    Call,
    Dims,
    Input,
    Launch,
    Plugin,
    block_for,
    power_of_two,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

__all__ = ["PLUGIN"]

U, DELTA, A, B, D, BIAS, Z = 0, 1, 2, 3, 5, 6, 7
TILE: Final = 1024
#: The directions travel as one bit per group of a signed 32-bit argument.
MAX_GROUPS: Final = 31


def _constants(call: Call) -> dict[str, int]:
    channels, states = call.static(A, 0), call.static(A, 1)
    group_channels = channels // call.static(B, 1)
    length = call.dims(DELTA)[2]
    # With several states, B and C are read once for all channels of a program: more channels, shorter blocks.
    longest = TILE if states <= 2 else TILE // 4
    length_block = block_for(length, longest)
    return {
        "STATES": states,
        "STATE_BLOCK": power_of_two(states),
        "SHARED_U": int(call.static(U, 1) != channels),
        "HAS_D": int(call.has(D)),
        "HAS_BIAS": int(call.has(BIAS)),
        "HAS_Z": int(call.has(Z)),
        "SOFTPLUS": int(bool(call.attributes["delta_softplus"])),
        "CHANNEL_BLOCK": min(TILE // length_block, power_of_two(group_channels)),
        "LENGTH_BLOCK": length_block,
    }


def _directions(call: Call, groups: int) -> tuple[int, ...]:
    flags = call.attributes["reverse"]
    if not isinstance(flags, tuple):
        raise TypeError(f"reverse is {flags!r}, not one integer per group")
    return (0,) * groups if flags == (0,) else flags


def _launch(call: Call, constants: Mapping[str, int]) -> Launch:
    samples, channels, length = (call.static(DELTA, axis) for axis in range(3))
    groups = call.static(B, 1)
    group_channels = channels // groups
    blocks = (group_channels + constants["CHANNEL_BLOCK"] - 1) // constants["CHANNEL_BLOCK"]
    mask = sum(1 << group for group, flag in enumerate(_directions(call, groups)) if flag)
    return Launch(programs=samples * groups * blocks, scalars=(length, groups, group_channels, mask))


def _output(shapes: Sequence[Sequence[Any]], attributes: Mapping[str, Attribute]) -> tuple[Any, ...]:  # noqa: ARG001
    return tuple(shapes[DELTA])


def _why_not(call: Call) -> str:
    groups = call.static(B, 1)
    if groups > MAX_GROUPS:
        return f"{groups} groups; the kernel takes up to {MAX_GROUPS}"
    flags = call.attributes["reverse"]
    if not isinstance(flags, tuple) or (flags != (0,) and len(flags) != groups):
        return f"reverse is {flags!r} for {groups} groups"
    return ""


def _shrink(call: Call) -> Call:
    groups, length = call.static(B, 1), call.static(DELTA, 2)
    states = call.static(A, 1)
    few = max(1, min(8 // groups, call.static(DELTA, 1) // groups))
    channels = groups * few
    u = few if call.static(U, 1) != call.static(DELTA, 1) else channels
    samples = 2 if length * states <= 1 << 13 else 1
    flat, state = (samples, channels, length), (samples, groups, states, length)
    small: tuple[Dims, ...] = (
        (samples, u, length),
        flat,
        (channels, states),
        state,
        state,
        (channels,),
        (channels,),
        flat,
    )
    return replace(call, shapes=tuple(small[i] if call.has(i) else None for i in range(len(small))))


def _draw(call: Call, random: np.random.Generator) -> list[NDArray[np.float32] | None]:
    """Decays from slow to instant, steps from tiny to large, and a skip too small to hide the state."""
    import numpy as np

    def normal(index: int) -> NDArray[np.float32]:
        return random.standard_normal(tuple(call.static(index, axis) for axis in range(len(call.dims(index))))).astype(
            np.float32
        )

    drawn = [normal(index) if call.has(index) else None for index in range(8)]
    drawn[A] = -np.exp(1.5 * normal(A))
    steps = 2.0 * normal(DELTA)
    if not call.attributes["delta_softplus"]:
        # Without softplus a step must be positive as it is, or the state grows without bound.
        steps = np.exp(steps - 1.0)
        drawn[BIAS] = np.abs(normal(BIAS)) if call.has(BIAS) else None
    drawn[DELTA] = steps
    if call.has(D):
        drawn[D] = np.float32(0.1) * normal(D)
    return drawn


def _plain(call: Call, inputs: Sequence[Array | None]) -> Array:
    import numpy as np

    u, delta, A, B, C, D, bias, z = (None if t is None else t.astype(np.float32) for t in (*inputs, *[None] * 8)[:8])
    if u is None or delta is None or A is None or B is None or C is None:
        raise TypeError("u, delta, A, B and C are required")
    groups, few = B.shape[1], delta.shape[1] // B.shape[1]
    u = np.tile(u, (1, delta.shape[1] // u.shape[1], 1))
    dt = delta if bias is None else delta + bias[:, None]
    if call.attributes["delta_softplus"]:
        dt = np.maximum(dt, 0) + np.log1p(np.exp(-np.abs(dt)))
    flipped = np.repeat(np.array(_directions(call, groups), bool), few)[None, :, None]
    last = np.arange(delta.shape[2])[::-1]

    def turned(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.where(flipped, tensor[..., last], tensor)

    state = np.zeros((*delta.shape[:2], A.shape[1]), np.float32)
    y = np.empty_like(delta)
    steps = [turned(dt), turned(dt * u), *(np.repeat(t.transpose(0, 1, 3, 2), few, 1) for t in (B, C))]
    maps = [np.where(flipped[..., None], t[:, :, last], t) for t in steps[2:]]
    for t in range(delta.shape[2]):
        state = np.exp(steps[0][:, :, t, None] * A) * state + steps[1][:, :, t, None] * maps[0][:, :, t]
        y[:, :, t] = (maps[1][:, :, t] * state).sum(-1)
    y = turned(y)
    y = y if D is None else y + D[:, None] * u
    return y if z is None else y * z / (1 + np.exp(-z))


PLUGIN = Plugin(
    operator="EvSelectiveScan",
    kernel="selective_scan",
    inputs=(
        Input(name="u"),
        Input(name="delta"),
        Input(name="A", data=False),
        Input(name="B"),
        Input(name="C"),
        Input(name="D", data=False, optional=True, neutral=0.0),
        Input(name="delta_bias", data=False, optional=True, neutral=0.0),
        Input(name="z", optional=True),
    ),
    attributes={"delta_softplus": 0, "reverse": (0,)},
    scalars=("length", "groups", "group_channels", "reverse_mask"),
    constants=_constants,
    launch=_launch,
    output=_output,
    why_not=_why_not,
    shrink=_shrink,
    draw=_draw,
    plain=_plain,
)
