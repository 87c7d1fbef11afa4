"""What a device is to us: a place with a work folder of ours where programs run, files go and files come from.

Three things can go wrong and must not be confused: the program failed (`Finished` says how), the device refuses or
lacks something (`DeviceError`), and the device is gone (`DeviceLostError`): what was streamed before it went still counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from edgevision.errors import DeviceError

__all__ = ["Device", "DeviceLostError", "Finished"]


class DeviceLostError(DeviceError):
    """The device went away while something ran on it, so that nobody knows how that ended."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a program ended on the device.

    Attributes:
        code: its exit code; 128 + n when signal n ended it.
        errors: its stderr.
    """

    code: int
    errors: str

    @property
    def signal(self) -> int | None:
        """The signal that ended it, None when it exited by itself."""
        return self.code - 128 if self.code > 128 else None


class Device(Protocol):
    """An open device; closing it removes the work folder. One session at a time may have a device open."""

    name: str
    emulated: bool

    def probe(self) -> Mapping[str, str]:
        """What the device says of itself now: see `edgevision.devices.probe`."""
        ...

    def push(self, source: Path, name: str, *, executable: bool = False) -> None:
        """Copy a file into the work folder; DeviceError when it does not fit."""
        ...

    def run(self, command: Sequence[str], *, seconds: float, on_line: Callable[[str], None]) -> Finished:
        """Run a program in the work folder, bounded on the device itself; each line of its stdout streams back.

        Raises:
            DeviceError: it ran past `seconds`.
            DeviceLostError: the device went away.
        """
        ...

    def beside(self, script: str, on_line: Callable[[str], None]) -> AbstractContextManager[None]:
        """Run a script of ours while a block runs; each line of its stdout streams back."""
        ...

    def pull(self, name: str, target: Path) -> None:
        """Copy a file out of the work folder; DeviceError when it is not there."""
        ...

    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...
