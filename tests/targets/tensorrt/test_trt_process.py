"""The parent survives a worker that aborts, hangs, is killed or fails, and says in which step it was."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from edgevision.errors import GraphError, TargetError
from edgevision.targets.tensorrt.build_log import failure_reason
from edgevision.targets.tensorrt.process import Worker, run_worker

HEAD = """
import os, sys, time
from edgevision.errors import GraphError
from edgevision.targets.tensorrt.worker import serve
def work(request, report):
    report.step("warm up")
    report.step("parse")
"""
TAIL = """
if __name__ == "__main__":
    sys.exit(serve(work))
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def make(body: str, timeout: float = 60) -> Worker:
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        (tmp_path / "a_worker.py").write_text(HEAD + lines + TAIL)
        return Worker(
            what="the build", module="a_worker", log=tmp_path / "log", timeout=timeout, explain=failure_reason
        )

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return make


def test_a_result_comes_back_and_prints_cannot_garble_it(worker) -> None:
    heard: list[tuple[str, float]] = []
    made = worker('print("noise on stdout")\nreport.progress("phase", 1, 4)\nreturn {"sum": sum(request["numbers"])}')
    answer = run_worker(made, {"numbers": [1, 2, 3]}, lambda what, part: heard.append((what, part)))
    assert answer == {"sum": 6}
    assert heard == [("warm up", 0.0), ("parse", 0.0), ("parse: phase", 0.25)]
    assert "noise on stdout" in made.log.read_text()


def test_an_abort_is_told_with_its_step_and_the_reason_from_the_log(worker) -> None:
    made = worker('sys.stderr.write("[ERROR] tensor.cpp:12: the axis is wrong\\n"); sys.stderr.flush()\nos.abort()')
    with pytest.raises(TargetError) as raised:
        run_worker(made, {})
    assert raised.value.thing == "the build, step `parse`"
    assert raised.value.reason == "the process was ended by SIGABRT: the axis is wrong"
    kept = Path(raised.value.mend.removeprefix("the log is kept: "))
    assert "tensor.cpp:12" in kept.read_text(), "the log outlives the folder of the failed build"
    kept.unlink()


def test_a_hang_is_ended_by_the_timeout(worker) -> None:
    made = worker("time.sleep(600)", timeout=3)
    with pytest.raises(TargetError, match=r"step `\w+`: it did not end within 3 s"):
        run_worker(made, {})


def test_a_kill_from_outside_is_survived(worker, tmp_path: Path) -> None:
    made = worker(
        f'open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))\nreport.step("build")\ntime.sleep(600)'
    )

    def kill(what: str, part: float) -> None:
        if what == "build":
            number = int((tmp_path / "pid").read_text())
            threading.Timer(0.1, os.kill, (number, signal.SIGKILL)).start()

    with pytest.raises(TargetError, match="step `build`: the process was ended by SIGKILL"):
        run_worker(made, {}, kill)


def test_an_error_of_ours_arrives_as_it_was_raised(worker) -> None:
    made = worker('raise GraphError("node 7", "it is odd", "make it even")')
    with pytest.raises(GraphError) as raised:
        run_worker(made, {})
    assert raised.value.as_dict() == GraphError("node 7", "it is odd", "make it even").as_dict()


def test_an_exception_is_told_with_its_exit_code(worker) -> None:
    made = worker('raise ZeroDivisionError("oops")')
    with pytest.raises(TargetError, match="step `parse`: the process ended with code 1"):
        run_worker(made, {})
    assert "oops" in made.log.read_text()


def test_an_interrupted_parent_leaves_no_child_behind(worker, tmp_path: Path) -> None:
    made = worker(
        f'open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))\nreport.step("build")\ntime.sleep(600)'
    )

    def interrupt(what: str, part: float) -> None:
        if what == "build":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_worker(made, {}, interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
