"""A device reached through a shell: everything but how the shell is reached, which is a `Transport`'s business.

One session, the keeper, stays open as long as the device is: it holds the lock and the work folder, and removes both
when it ends. Commands are sessions beside it.
"""

from __future__ import annotations

import re
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from edgevision.devices import scripts
from edgevision.devices.alongside import Drain, alongside
from edgevision.devices.device import DeviceLostError, Finished
from edgevision.devices.probe import parse_probe, probe_script
from edgevision.errors import DeviceError

__all__ = ["RemoteDevice", "Transport"]

LOCK = "edgevision.lock"
#: Seconds for what takes an instant on a device that is well, and for the way there and back.
PATIENCE = 30.0
#: Exit codes when `timeout` had to end the program: its own (coreutils, toybox), or that of the signal (busybox).
TIMED_OUT = (124, 128 + 15, 128 + 9)
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Transport(Protocol):
    """How a shell on the device is reached."""

    @property
    def base(self) -> str:
        """Where work folders go; empty for the device's own TMPDIR or /tmp."""
        ...

    def command(self, script: str) -> list[str]:
        """What to run here so that `script` runs there, with stdin, stdout and stderr passed through."""
        ...

    def explain(self, errors: str) -> tuple[str, str]:
        """The reason and the mend for a connection that failed, from the transport's stderr."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Ended:
    """A session that ran to its trailer; `output` is without it."""

    code: int
    output: bytes
    errors: str


class RemoteDevice:
    """An open device behind a transport."""

    def __init__(self, name: str, transport: Transport, *, emulated: bool = False) -> None:
        self.name = name
        self.emulated = emulated
        self._transport = transport
        self._keeper = self._start(scripts.keeper(transport.base, LOCK))
        try:
            self._work = self._take()
        except BaseException:
            self.close()
            raise

    def _take(self) -> str:
        """Wait for the keeper's word."""
        assert self._keeper.stdout is not None  # it was started with a pipe
        with _Deadline(self._keeper, PATIENCE):
            line = self._keeper.stdout.readline().decode(errors="replace").strip()
        word, _, rest = line.partition(" ")
        if word == "work" and rest.startswith("/"):
            return rest
        if word == "busy":
            raise DeviceError(self.name, f"another profile is using it (its process {rest})", "wait for it to end")
        if word == "lacks":
            raise DeviceError(self.name, f"its shell has no `{rest}`", "install coreutils, busybox or toybox there")
        if word == "denied":
            raise DeviceError(self.name, f"no folder can be made in {rest}", "free some space there, or set its TMPDIR")
        self._keeper.kill()
        errors = self._keeper.communicate()[1].decode(errors="replace")
        raise DeviceError(self.name, *self._transport.explain(errors))

    def probe(self) -> Mapping[str, str]:
        """One round trip; DeviceError when the answer is not whole."""
        ended = self._session(probe_script(), seconds=PATIENCE)
        return parse_probe(ended.output.decode(errors="replace"), self.name)

    def push(self, source: Path, name: str, *, executable: bool = False) -> None:
        """Copy a file into the work folder under a plain name."""
        size = source.stat().st_size
        script = scripts.push(self._work, self._plain(name), size, executable=executable)
        with source.open("rb") as file:
            ended = self._session(script, seconds=PATIENCE + size / 1e6, feed=file)
        if ended.code:
            said = ended.errors.strip() or f"not all of its {size} bytes arrived"
            raise DeviceError(self.name, f"{source.name} cannot be written there ({said})", "free some space there")

    def pull(self, name: str, target: Path) -> None:
        """Copy a file out of the work folder; `target` appears whole or not at all."""
        from edgevision.whole_file import whole_file

        ended = self._session(scripts.pull(self._work, self._plain(name)), seconds=20 * PATIENCE)
        if ended.code:
            raise DeviceError(self.name, f"{name} cannot be read there ({ended.errors.strip()})", "try again")
        with whole_file(target) as staging:
            staging.write_bytes(ended.output)

    def run(self, command: Sequence[str], *, seconds: float, on_line: Callable[[str], None]) -> Finished:
        """Run a program in the work folder; the device ends it after `seconds`, or when the connection ends."""
        script = scripts.bounded_run(self._work, command, seconds)
        started = time.monotonic()
        ended = self._session(script, seconds=seconds + PATIENCE, on_line=on_line)
        if ended.code in TIMED_OUT and time.monotonic() - started >= seconds:
            raise DeviceError(
                self.name,
                f"{command[0]} ran longer than {seconds:.0f} s there",
                "ask for fewer runs, or see what it waits for",
            )
        return Finished(code=ended.code, errors=ended.errors)

    @contextmanager
    def beside(self, script: str, on_line: Callable[[str], None]) -> Iterator[None]:
        """Run a script of ours until the block ends; it ends itself when its stdin does. How it fares is not told.

        A connection that goes is told by what runs in the block.
        """
        with alongside(self._start(script), on_line):
            yield

    def close(self) -> None:
        """Let go: the keeper sees the end of its input, removes the work folder and the lock, and ends."""
        with suppress(OSError):
            if self._keeper.stdin is not None:
                self._keeper.stdin.close()
        try:
            self._keeper.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        for stream in (self._keeper.stdout, self._keeper.stderr):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _plain(self, name: str) -> str:
        if not _FILE.fullmatch(name):
            raise DeviceError(
                self.name, f"{name!r} is no plain file name", "use letters, digits, dot, dash, underscore"
            )
        return name

    def _start(self, script: str, feed: IO[bytes] | int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        try:
            return subprocess.Popen(self._transport.command(script), stdin=feed, stdout=pipe, stderr=pipe)
        except FileNotFoundError as error:
            raise DeviceError(self.name, f"the program {error.filename} is missing here", "install it") from error

    def _session(
        self,
        script: str,
        *,
        seconds: float,
        feed: IO[bytes] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> _Ended:
        """Run a script to its trailer; lines before the trailer go to `on_line`, or are gathered."""
        mark = f"edgevision-end-{secrets.token_hex(8)}="
        process = self._start(scripts.with_trailer(script, mark), subprocess.PIPE if feed is None else feed)
        errors = Drain(process.stderr)
        try:
            with _Deadline(process, seconds):
                output, code = _read(process, mark.encode(), on_line)
        finally:
            if process.stdin is not None:
                with suppress(OSError):
                    process.stdin.close()
            if process.poll() is None:
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            said = errors.text()
        if code is None:
            reason, mend = self._transport.explain(said)
            raise DeviceLostError(self.name, f"it was lost ({reason})", mend)
        return _Ended(code=code, output=output, errors=said)


def _read(
    process: subprocess.Popen[bytes], mark: bytes, on_line: Callable[[str], None] | None
) -> tuple[bytes, int | None]:
    """Output before the trailer and the code in it; None when the output ended without one."""
    assert process.stdout is not None  # it was started with a pipe
    gathered: list[bytes] = []
    for line in process.stdout:
        if line.startswith(mark):
            # The trailer begins with a line feed of its own, which may have ended the last line.
            return b"".join(gathered).removesuffix(b"\n"), int(line[len(mark) :])
        if on_line is None:
            gathered.append(line)
        elif line.strip():
            on_line(line.decode(errors="replace").rstrip("\r\n"))
    return b"".join(gathered), None


class _Deadline:
    """Ends a process here when the block takes too long: a device that is frozen answers nothing at all."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self._timer = threading.Timer(seconds, process.kill)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
