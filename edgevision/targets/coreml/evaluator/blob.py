"""Reads Core ML's weight file, `weight.bin`.

A 64-byte header, then blobs aligned to 64 bytes. A blob is found through its 64-byte record: the sentinel 0xDEADBEEF
and the element type (uint32 each), then the size in bytes, the data's offset and, for elements below a byte, how many
trailing bits of the last byte are unused (uint64 each). Elements below a byte are packed from the low bits up.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import TargetError

__all__ = ["WeightFile", "unpack"]

_SENTINEL = 0xDEADBEEF
_RECORD = struct.Struct("<IIQQQ")
_DTYPES: dict[int, Any] = {
    1: np.float16,
    2: np.float32,
    3: np.uint8,
    4: np.int8,
    6: np.int16,
    7: np.uint16,
    14: np.int32,
    15: np.uint32,
}
#: Element type -> bits an element.
_PACKED = {8: 4, 9: 1, 10: 2, 11: 4, 12: 3, 13: 6}


def unpack(data: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint8]:
    """`count` unsigned elements of `bits` bits each, packed from the low bits up."""
    stream = np.unpackbits(data, bitorder="little")[: count * bits].reshape(count, bits)
    weights = (1 << np.arange(bits)).astype(np.uint8)
    elements: NDArray[np.uint8] = (stream * weights).sum(axis=1, dtype=np.uint8)
    return elements


class WeightFile:
    """The weights of a package, mapped, not loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file() or path.stat().st_size < 64:
            raise TargetError(str(path), "the weight file is missing or cut short", "export the package again")
        self.bytes = np.memmap(path, np.uint8, mode="r")

    def read(self, offset: int, count: int) -> NDArray[Any]:
        """The `count` elements of the blob whose record is at `offset`, flat; packed ones as unsigned bytes."""
        if offset + _RECORD.size > self.bytes.size:
            raise self._corrupt(offset, "its record lies beyond the end of the file")
        sentinel, kind, size, start, _ = _RECORD.unpack(self.bytes[offset : offset + _RECORD.size].tobytes())
        if sentinel != _SENTINEL:
            raise self._corrupt(offset, "its record does not begin with the sentinel")
        if start + size > self.bytes.size:
            raise self._corrupt(offset, "its data run beyond the end of the file")
        data = self.bytes[start : start + size]
        if kind in _PACKED:
            return unpack(np.asarray(data), _PACKED[kind], count)
        if kind not in _DTYPES:
            raise self._corrupt(offset, f"element type {kind} is unknown")
        values = np.frombuffer(data.tobytes(), _DTYPES[kind])
        if values.size != count:
            raise self._corrupt(offset, f"it holds {values.size} elements, and the program expects {count}")
        return values

    def _corrupt(self, offset: int, reason: str) -> TargetError:
        return TargetError(f"{self.path}, blob at {offset}", reason, "the package is corrupt: export it again")
