"""The parent's side of a worker process: it survives a child that aborts, hangs or is killed, and says which step.

TensorRT's parser can end the process it runs in, and a build after a failed one is not deterministic, so every build
gets a fresh interpreter; Triton's interpreter must be chosen before Triton is imported, so it gets one too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import edgevision
from edgevision.errors import EdgeError, GraphError, TargetError
from edgevision.targets.target import OnProgress

__all__ = ["OnProgress", "Worker", "run_worker"]

_KINDS: Mapping[str, type[EdgeError]] = {error.kind: error for error in (GraphError, TargetError)}


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A child process to be.

    Attributes:
        what: how messages call it, e.g. "the TensorRT-RTX build".
        module: run as `python -m module request.json`; it calls `worker.serve`.
        log: file that takes everything the child prints; copied to a place of its own when the work fails.
        timeout: seconds until it is ended.
        environment: variables added to the parent's.
        explain: finds the reason of an unexplained end in the log's text; empty when it finds none.
    """

    what: str
    module: str
    log: Path
    timeout: float
    environment: Mapping[str, str] = field(default_factory=dict)
    explain: Callable[[str], str] = lambda _: ""


@dataclass
class _Heard:
    step: str = "start"
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


def run_worker(worker: Worker, request: Mapping[str, Any], on_progress: OnProgress | None = None) -> dict[str, Any]:
    """The worker's result. Its EdgeErrors are raised again here; every other end becomes a TargetError."""
    heard = _Heard()
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder, worker.log.open("w", encoding="utf-8") as log:
        asked = Path(folder) / "request.json"
        asked.write_text(json.dumps(request), encoding="utf-8")
        child = subprocess.Popen(
            [sys.executable, "-m", worker.module, str(asked)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=_environment(worker, folder),
            start_new_session=True,
        )
        late = threading.Event()
        timer = threading.Timer(worker.timeout, _end_late, (child, late))
        timer.start()
        try:
            _listen(child.stdout, heard, on_progress)
            code = child.wait()
        finally:
            timer.cancel()
            _end(child)
            child.wait()
    return _verdict(worker, heard, code, late=late.is_set())


def _environment(worker: Worker, scratch: str) -> dict[str, str]:
    root = str(Path(edgevision.__file__).resolve().parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH", "")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TMPDIR": scratch, **worker.environment}


def _listen(stream: IO[str] | None, heard: _Heard, on_progress: OnProgress | None) -> None:
    for line in stream or ():
        event = json.loads(line)
        if event["event"] == "step":
            heard.step = event["name"]
            if on_progress:
                on_progress(heard.step, 0.0)
        elif event["event"] == "progress" and on_progress:
            on_progress(f"{heard.step}: {event['phase']}", event["done"] / max(event["total"], 1))
        elif event["event"] == "result":
            heard.result = event["value"]
        elif event["event"] == "error":
            heard.error = event


def _end(child: subprocess.Popen[str]) -> None:
    """End the child with the assemblers it started: they share its session and hold its output open."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def _end_late(child: subprocess.Popen[str], late: threading.Event) -> None:
    late.set()
    _end(child)


def _verdict(worker: Worker, heard: _Heard, code: int, *, late: bool) -> dict[str, Any]:
    if heard.error is None and heard.result is not None and code == 0:
        return heard.result
    log = worker.log.read_text(encoding="utf-8", errors="replace")
    kept = _keep(log)
    if heard.error is not None:
        kind = _KINDS.get(str(heard.error["kind"]), TargetError)
        mend = f"{heard.error['mend']}; log: {kept}" if kind is TargetError else heard.error["mend"]
        raise kind(heard.error["thing"], heard.error["reason"], mend)
    thing = f"{worker.what}, step `{heard.step}`"
    if late:
        raise TargetError(thing, f"it did not end within {worker.timeout:g} s", f"allow more time; log: {kept}")
    why = worker.explain(log)
    end = f"the process was ended by {_signal_name(-code)}" if code < 0 else f"the process ended with code {code}"
    raise TargetError(thing, f"{end}{': ' if why else ''}{why}", f"the log is kept: {kept}")


def _keep(log: str) -> Path:
    """A copy of the log that outlives the folder of the failed build."""
    handle, name = tempfile.mkstemp(prefix="edgevision-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(log)
    return Path(name)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
