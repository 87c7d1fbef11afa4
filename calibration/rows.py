"""An array in an NPY or NPZ file, read row by row from its start: memory does not grow with the file.

An NPZ is a ZIP archive with an NPY file per array. Mapping the file into memory would do for an NPY and for what
`numpy.savez` stores as it is, but mapped pages stay and count as the process's own, nothing would check the archive's
sums, and what `savez_compressed` writes cannot be mapped: all are read as streams.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from edgevision.errors import DataError

__all__ = ["Rows", "names_in", "rows_of"]

Open = Callable[[], AbstractContextManager[IO[bytes]]]
#: What a damaged file raises, here or in the standard library; RuntimeError: it is encrypted, or packed in a way unknown.
_DAMAGED = (OSError, EOFError, ValueError, RuntimeError, BadZipFile, zlib.error)


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

    def __iter__(self) -> Iterator[NDArray[Any]]:
        if self._columns_first:
            yield from self.whole()  # a row of it is scattered over all of the file
            return
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        try:
            with self._open() as file:
                _header(file)
                for index in range(len(self)):
                    held = file.read(size)
                    if len(held) < size:
                        raise EOFError(f"it ends within row {index} of {len(self)}")
                    yield np.frombuffer(held, self.dtype).reshape(self.shape[1:])
        except _DAMAGED as error:
            raise _not_numpy(self._path, error) from error

    def whole(self) -> NDArray[Any]:
        """All rows at once."""
        try:
            with self._open() as file:
                return np.asarray(npy.read_array(file, allow_pickle=False))
        except _DAMAGED as error:
            raise _not_numpy(self._path, error) from error


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
