"""The child's side of a worker process: one JSON request in, JSON events out, everything else into the log.

Event lines go to what was standard output when the process started; standard output itself then leads to standard
error, which the parent keeps as the log, so that a library that prints cannot garble the events.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from edgevision.errors import EdgeError

__all__ = ["Reporter", "serve"]


class Reporter:
    """Tells the parent where the work stands."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def _send(self, event: dict[str, Any]) -> None:
        self._stream.write(json.dumps(event) + "\n")
        self._stream.flush()

    def step(self, name: str) -> None:
        """A new step begins; a failure from now on is reported under this name."""
        self._send({"event": "step", "name": name})

    def progress(self, phase: str, done: int, total: int) -> None:
        """`done` of `total` units of a phase within the step."""
        self._send({"event": "progress", "phase": phase, "done": done, "total": total})

    def tell(self, event: str, **fields: object) -> None:
        """An event of the worker's own."""
        self._send({"event": event, **fields})

    def result(self, value: dict[str, Any]) -> None:
        """The answer; the last event of a success."""
        self._send({"event": "result", "value": value})

    def failure(self, error: EdgeError) -> None:
        """The error; the last event of a failure that was understood."""
        self._send({"event": "error", **error.as_dict()})


def serve(work: Callable[[dict[str, Any], Reporter], dict[str, Any]]) -> int:
    """Run `work` on the request named by the first argument; the process's exit code."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    reporter = Reporter(events)
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    try:
        reporter.result(work(request, reporter))
    except EdgeError as error:
        reporter.failure(error)
        return error.exit_code
    return 0
