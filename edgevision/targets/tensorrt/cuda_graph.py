"""A run of an engine as a CUDA graph: one launch for all its kernels, where the engine can be captured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgevision.errors import DeviceError
from edgevision.targets.tensorrt import driver

__all__ = ["CudaGraph", "capture"]


@dataclass(frozen=True)
class CudaGraph:
    """An instantiated graph."""

    executable: Any

    def launch(self, stream: Any) -> None:
        """Replay it on `stream`."""
        driver.check(driver.cuda().cuGraphLaunch(self.executable, stream))

    def close(self) -> None:
        """Free it."""
        driver.check(driver.cuda().cuGraphExecDestroy(self.executable))


def capture(stream: Any, run: Callable[[], bool]) -> CudaGraph | None:
    """What `run` enqueues on `stream`, as a graph; None when something in it cannot be captured.

    `run` must have run once before: what is set up at a first run (modules, workspaces) may not be captured.
    """
    cuda = driver.cuda()
    driver.check(cuda.cuStreamBeginCapture(stream, cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL))
    try:
        done = run()
    except DeviceError:  # a launch that is not allowed while capturing
        done = False
    status, graph = cuda.cuStreamEndCapture(stream)
    if int(status) != 0:
        return None
    try:
        if not done:
            return None
        status, executable = cuda.cuGraphInstantiate(graph, 0)
        return CudaGraph(executable) if int(status) == 0 else None
    finally:
        driver.check(cuda.cuGraphDestroy(graph))
