"""A program that talks while something else is done: its lines are told as they come, and it ends when its stdin does."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO

__all__ = ["Drain", "alongside"]

#: Seconds in which a program ends once its stdin has; then it is ended.
GRACE = 5.0


class Drain:
    """Reads a stream to its end beside us, so that a talkative program cannot block on it."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._parts: list[bytes] = []
        self._stream = stream
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        if self._stream is not None:
            self._parts.extend(self._stream)

    def text(self) -> str:
        """What has been read, once the stream has ended."""
        self._thread.join(GRACE)
        return b"".join(self._parts).decode(errors="replace")


@contextmanager
def alongside(process: subprocess.Popen[bytes], on_line: Callable[[str], None]) -> Iterator[None]:
    """Tell each line of a program's stdout while the block runs, and end it then. How it fares is not told.

    It was started with a pipe for each of its three streams.
    """
    errors = Drain(process.stderr)
    reader = threading.Thread(target=_follow, args=(process.stdout, on_line), daemon=True)
    reader.start()
    try:
        yield
    finally:
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(GRACE)
        errors.text()


def _follow(stream: IO[bytes] | None, on_line: Callable[[str], None]) -> None:
    """Tell every line of a stream to its end."""
    for line in stream or ():
        on_line(line.decode(errors="replace").rstrip("\r\n"))
