"""A GPU of host memory: enough of the CUDA driver and of TensorRT to run an engine that doubles its input."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import numpy as np

__all__ = ["Cuda", "Execution", "tensorrt"]


class Cuda:
    """Answers as `cuda.bindings.driver` does: a status, then the value. What is enqueued runs at once, or is captured."""

    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL=1)

    def __init__(self) -> None:
        self.memory: dict[int, ctypes.Array] = {}
        self.captured: list | None = None
        self.capturable = True
        self.graphs_launched = 0
        self.open_graphs = 0
        for name in ("cuInit", "cuCtxSetCurrent", "cuDevicePrimaryCtxRelease", "cuEventRecord", "cuEventDestroy"):
            setattr(self, name, lambda *_: (0,))
        for name in ("cuStreamSynchronize", "cuStreamDestroy", "cuGraphDestroy"):
            setattr(self, name, lambda *_: (0,))
        for name in ("cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuStreamCreate", "cuEventCreate"):
            setattr(self, name, lambda *_: (0, 7))
        self.cuEventElapsedTime = lambda *_: (0, 0.25)

    def cuMemAlloc(self, size: int) -> tuple[int, int]:  # noqa: N802  (here and below: the driver's names)
        buffer = ctypes.create_string_buffer(size)
        self.memory[ctypes.addressof(buffer)] = buffer
        return 0, ctypes.addressof(buffer)

    def cuMemFree(self, address: int) -> tuple[int]:  # noqa: N802
        del self.memory[address]
        return (0,)

    def _copy(self, target: int, source: int, size: int, _stream: object) -> tuple[int]:
        ctypes.memmove(target, source, size)
        return (0,)

    cuMemcpyHtoDAsync = cuMemcpyDtoHAsync = _copy  # noqa: N815

    def enqueue(self, work: object) -> None:
        if self.captured is None:
            work()
        else:
            self.captured.append(work)

    def cuStreamBeginCapture(self, _stream: object, _mode: object) -> tuple[int]:  # noqa: N802
        self.captured = []
        return (0,)

    def cuStreamEndCapture(self, _stream: object) -> tuple[int, object]:  # noqa: N802
        graph, self.captured = self.captured, None
        return (0, graph) if self.capturable else (901, None)

    def cuGraphInstantiate(self, graph: object, _flags: int) -> tuple[int, object]:  # noqa: N802
        self.open_graphs += 1
        return 0, graph

    def cuGraphExecDestroy(self, _graph: object) -> tuple[int]:  # noqa: N802
        self.open_graphs -= 1
        return (0,)

    def cuGraphLaunch(self, graph: list, _stream: object) -> tuple[int]:  # noqa: N802
        self.graphs_launched += 1
        for work in graph:
            work()
        return (0,)


class Execution:
    """An execution context of y = 2 x, for batches up to 4."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda, self.addresses, self.enqueued = cuda, {}, 0
        self.shape: tuple[int, ...] = ()

    def set_input_shape(self, _name: str, shape: tuple[int, ...]) -> bool:
        self.shape = shape
        return shape[0] <= 4

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def get_tensor_shape(self, _name: str) -> tuple[int, ...]:
        return self.shape

    def execute_async_v3(self, _stream: int) -> bool:
        self.enqueued += 1
        x, y, count = self.addresses["x"], self.addresses["y"], int(np.prod(self.shape))

        def double() -> None:
            source, target = ((ctypes.c_float * count).from_address(address) for address in (x, y))
            np.frombuffer(target, np.float32)[:] = 2 * np.frombuffer(source, np.float32)

        self._cuda.enqueue(double)
        return True


def tensorrt(execution: Execution) -> SimpleNamespace:
    """The module, with an engine whose context is `execution`."""
    engine = SimpleNamespace(create_execution_context=lambda: execution)
    logger = type("Logger", (), {"WARNING": 1, "__init__": lambda self, level: None})
    return SimpleNamespace(
        Logger=logger, Runtime=lambda log: SimpleNamespace(deserialize_cuda_engine=lambda data: engine)
    )
