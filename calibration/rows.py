"""An array in an NPY or NPZ file, read row by row: memory does not grow with the file.

Rows are often sorted by class, and calibration takes but the first few: they are drawn by a fixed seed. What is compressed
can only be read forwards, so the draw is cut into parts of 16, 48, 192, … rows, four times as many rows in all with each,
and a part is one reading of the file in its own order: what is taken first is spread over all of it, and N rows are read
in log4(N / 16) readings. The order is the same however the file is packed.

An NPZ is a ZIP archive with an NPY file per array. Mapping the file into memory would do for an NPY and for what
`numpy.savez` stores as it is, but mapped pages stay and count as the process's own, nothing would check the archive's
sums, and what `savez_compressed` writes cannot be mapped: all are read as streams.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipExtFile, ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from edgevision.errors import DataError

__all__ = ["Rows", "names_in", "rows_of"]

Open = Callable[[], AbstractContextManager[IO[bytes]]]
#: What a damaged file raises, here or in the standard library; RuntimeError: it is encrypted, or packed in a way unknown.
_DAMAGED = (OSError, EOFError, ValueError, RuntimeError, BadZipFile, zlib.error)

#: Rows of the first part of a draw; bytes that are skipped at a time.
_FIRST, _PIECE = 16, 2**16


class Rows:
    """The entries of an array along its first axis.

    Args:
        path: of the file, for messages.
        open_: gives the bytes of the array's NPY form, from their start each time.

    Attributes:
        shape, dtype: of the whole array.

    Raises:
        DataError: it is no such file; while reading: it is damaged.
    """

    def __init__(self, path: Path, open_: Open) -> None:
        self._path, self._open = path, open_
        try:
            with open_() as file:
                self.shape, self._columns_first, self.dtype = _header(file)
        except _DAMAGED as error:
            raise _not_numpy(path, error) from error

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    def drawn(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Every row once, with its index, in the order of the draw."""
        if self._columns_first:
            held = self.whole()  # a row of it is scattered over all of the file
            yield from ((int(index), held[index]) for part in _parts(len(self)) for index in part)
            return
        for part in _parts(len(self)):
            yield from self._read(part)

    def _read(self, part: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[Any]]]:
        """Rows of ascending indices."""
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        try:
            with self._open() as file:
                _header(file)
                at = 0
                for index in part.tolist():
                    _skip(file, (index - at) * size)
                    at = index + 1
                    held = file.read(size)
                    if len(held) < size:
                        raise EOFError(f"it ends within row {index} of {len(self)}")
                    yield index, np.frombuffer(held, self.dtype).reshape(self.shape[1:])
                _skip(file, (len(self) - at) * size + 1)  # to the end, where an archive's sum is checked
        except _DAMAGED as error:
            raise _not_numpy(self._path, error) from error

    def whole(self) -> NDArray[Any]:
        """All rows at once."""
        try:
            with self._open() as file:
                return np.asarray(npy.read_array(file, allow_pickle=False))
        except _DAMAGED as error:
            raise _not_numpy(self._path, error) from error


def _parts(count: int) -> Iterator[NDArray[np.intp]]:
    """The indices of all rows, drawn, part by part, ascending in each."""
    order, begin, end = np.random.default_rng(0).permutation(count), 0, _FIRST
    while begin < count:
        yield np.sort(order[begin:end])
        begin, end = end, 4 * end


def names_in(path: Path) -> list[str]:
    """Names of the arrays in an NPZ; for an NPY one empty name.

    Raises:
        DataError: the file is neither.
    """
    if path.suffix.lower() == ".npy":
        return [""]
    try:
        with ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except _DAMAGED as error:
        raise _not_numpy(path, error) from error


def rows_of(path: Path, name: str) -> Rows:
    """The array that `names_in` calls `name`."""
    return Rows(path, (lambda: _Member(path, f"{name}.npy")) if name else (lambda: path.open("rb")))


def _skip(file: IO[bytes], size: int) -> None:
    """`size` bytes forwards; in an archive by reading them, since it gives up its sum once it has to seek."""
    if not isinstance(file, ZipExtFile):
        file.seek(size, os.SEEK_CUR)
        return
    while size > 0 and (passed := len(file.read(min(size, _PIECE)))):
        size -= passed


class _Member:
    """A member of an archive, with the archive open as long as it is."""

    def __init__(self, path: Path, name: str) -> None:
        self._archive = ZipFile(path)
        self._file = self._archive.open(name)

    def __enter__(self) -> IO[bytes]:
        return self._file

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._archive.close()


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type; the file is left where the values begin."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"its format {version} is not for plain numbers")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, columns_first, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return tuple(shape), bool(columns_first), dtype


def _not_numpy(path: Path, error: BaseException) -> DataError:
    return DataError(str(path), f"it is not a NumPy file ({error})", "save it with numpy.savez")
