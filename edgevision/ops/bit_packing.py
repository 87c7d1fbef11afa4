"""Codes of a few bits side by side in bytes, least significant bit first; eight codes of `width` bits make `width` bytes.

Code k of a row takes the bits [k·width, (k+1)·width) of that row; a row is filled up to whole groups of eight codes with
zeros, so that every row starts at a byte.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import GraphError

__all__ = ["GROUP", "pack", "packed_bytes", "unpack"]

#: Codes that fill whole bytes together, whatever the width.
GROUP = 8


def packed_bytes(codes: int, width: int) -> int:
    """Bytes of a row of so many codes."""
    return -(-codes // GROUP) * width


def pack(codes: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """[rows, K] codes below 2^width -> uint8 [rows, ceil(K/8)·width].

    Raises:
        GraphError: a code does not fit in `width` bits.
    """
    if codes.size and int(codes.max()) >> width:
        raise GraphError("codes", f"{int(codes.max())} does not fit in {width} bits", "pack with a greater width")
    filled = np.pad(codes, ((0, 0), (0, -codes.shape[1] % GROUP)))
    bits = (filled[..., None] >> np.arange(width, dtype=np.uint8)) & 1
    return np.packbits(bits.reshape(len(codes), -1), axis=1, bitorder="little")


def unpack(packed: NDArray[np.uint8], width: int, codes: int) -> NDArray[np.uint8]:
    """The inverse of `pack`: uint8 [rows, codes].

    Raises:
        GraphError: the rows are not as long as `codes` codes are.
    """
    if packed.ndim != 2 or packed.shape[1] != packed_bytes(codes, width):
        wanted = packed_bytes(codes, width)
        raise GraphError("packed weights", f"{codes} codes of {width} bits are {wanted} bytes, not {packed.shape}", "")
    bits = np.unpackbits(packed, axis=1, bitorder="little").reshape(len(packed), -1, width)[:, :codes]
    return np.asarray((bits << np.arange(width, dtype=np.uint8)).sum(-1), np.uint8)
