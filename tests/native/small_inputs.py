"""Small tensors that each kernel takes, and what it says to others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from kernel_node import run
from numpy.typing import NDArray

Array = NDArray[np.float32]


def floats(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def scan_inputs(Bt: int = 1, K: int = 2, Dg: int = 3, N: int = 2, L: int = 5) -> list[Array]:
    sizes: Sequence[tuple[int, ...]] = (
        (Bt, K * Dg, L), (Bt, K * Dg, L), (K * Dg, N), (Bt, K, N, L), (Bt, K, N, L), (K * Dg,), (K * Dg,), (Bt, K * Dg, L)
    )  # fmt: skip
    inputs = [floats(*size) for size in sizes]
    inputs[2] = -np.abs(inputs[2])
    return inputs


def fused_inputs(op: str) -> list[Array]:
    """Two groups of three channels, rank two; maps of four by four."""
    K, C, R = 2, 3, 2
    maps, bands = (1, C, 4, 4), (4 * C, 1, 2, 2)
    sizes: dict[str, Sequence[tuple[int, ...]]] = {
        "EvChannelNorm": ((1, K * C, 16), (C,), (C,), maps),
        "EvDepthwiseConv": (maps, (C, 1, 3, 3), (C,)),
        "EvProjectedScan": (maps, (K * (R + 2), C), (K * C, R), (K * C, 1), (K * C,), (K * C,)),
        "EvResponseNorm": (maps, (C,)),
        "EvWaveletConv": (maps, bands, bands, (4 * C, 1, 3, 3), (4 * C,), maps),
    }
    return [floats(*size) for size in sizes[op]]


def inputs_of(op: str) -> list[Array]:
    """Small tensors that `op` takes."""
    if op == "EvSelectiveScan":
        return scan_inputs()
    if op in ("EvDWT", "EvIDWT"):
        return [floats(1, 3, 4, 4) if op == "EvDWT" else floats(1, 3, 4, 2, 2), floats(4, 1, 2, 2)]
    if op == "EvLookup":
        return lookup_inputs(300)
    if op == "EvIntegerResponseNorm":
        return [lookup_inputs(44)[0].reshape(1, 2, 2, 11), floats(256), floats(11)]
    if op == "EvIntegerNorm":
        return [lookup_inputs(44)[0].reshape(1, 4, 11), 30 * floats(11), floats(11)]
    if op == "EvShiftConv":
        return conv_inputs(11, 5, 3)
    return shift_inputs(2, 11, 5) if op == "EvShiftLinear" else fused_inputs(op)


def shift_inputs(rows: int, K: int, N: int) -> list[Array]:
    """Random codes of five bits."""
    packed = np.random.default_rng(0).integers(0, 256, (N, -(-K // 8) * 5)).astype(np.uint8)
    return [floats(1, rows, K), packed, floats(N), floats(N)]  # type: ignore[list-item]


def lookup_inputs(count: int) -> list[Array]:
    """A row of bytes and a table for them."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, size).astype(np.uint8) for size in ((1, count), (256,))]  # type: ignore[misc]


def conv_inputs(channels: int, M: int, side: int) -> list[Array]:
    """A square map for a convolution of one pixel."""
    return [floats(1, channels, side, side), *shift_inputs(1, channels, M)[1:]]


def refusal(op: str, inputs: Sequence[Array], **attributes: int | str | tuple[int, ...]) -> str:
    with pytest.raises(Exception, match=op) as caught:
        run(op, inputs, attributes)
    return str(caught.value)
