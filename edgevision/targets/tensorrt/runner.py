"""Running an engine on this machine's GPU: copy in, compute, copy out, each timed by CUDA events of its own.

The first run at some shapes is launched kernel by kernel and then captured as a CUDA graph, which later ones replay.

Nothing here could be run where it was written (no GPU): docs/tensorrt.md says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from edgevision.errors import DataError, TargetError
from edgevision.targets.target import TensorInfo
from edgevision.targets.tensorrt import driver
from edgevision.targets.tensorrt.cuda_graph import CudaGraph, capture
from edgevision.targets.tensorrt.flavor import FLAVORS, Flavor, flavor_needs, import_flavor

if TYPE_CHECKING:
    from typing import Self  # newer than the Python 3.10 of JetPack 6, where `devices.python_engine` runs this

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

__all__ = ["EngineRunner", "Stages", "check_engine"]

_NUMPY: Final[Mapping[str, str]] = {
    "float": "float32",
    "half": "float16",
    "int8": "int8",
    "uint8": "uint8",
    "int32": "int32",
    "int64": "int64",
    "bool": "bool",
}


@dataclass(frozen=True, kw_only=True)
class Stages:
    """Milliseconds of the last run on the device, and whether it was replayed from a CUDA graph."""

    copy_in: float
    compute: float
    copy_out: float
    cuda_graph: bool


def check_engine(path: Path) -> tuple[dict[str, Any], Flavor]:
    """The engine's record and flavor, when this installation may open it.

    Raises:
        TargetError: no engine, no record, a damaged file, or another version built it.
    """
    record_file = path.with_name("engine.json")
    rebuild = "build it again with `edgevision export --target trt`"
    if not path.is_file():
        raise TargetError(str(path), "there is no engine", rebuild)
    try:
        record = json.loads(record_file.read_text(encoding="utf-8"))
        flavor = FLAVORS[record["flavor"]]
        built_by, size = record["version"], record["engine"]["bytes"]
    except (OSError, ValueError, KeyError) as error:
        raise TargetError(str(record_file), f"the engine's record cannot be read ({error})", rebuild) from error
    if path.stat().st_size != size:
        raise TargetError(str(path), f"it has {path.stat().st_size} bytes, its record says {size}", rebuild)
    installed = flavor.version()
    if installed is None:
        raise TargetError(str(path), f"it needs {flavor.title} {built_by}, which is not installed", flavor.install)
    if installed != built_by:
        reason = f"{flavor.title} {built_by} built it and {installed} is installed: an engine opens in its own version"
        raise TargetError(str(path), reason, rebuild)
    return record, flavor


class EngineRunner:
    """A deserialized engine with its execution context, a stream and its device buffers."""

    def __init__(self, path: Path) -> None:
        record, flavor = check_engine(path)
        missing = flavor_needs(flavor)
        if missing is not None:
            raise TargetError(str(path), f"it was built and cannot run here: {missing.reason}", missing.mend)
        self._cuda = driver.cuda()
        self._device, self._context = _open_device(self._cuda)
        trt = import_flavor(flavor)
        from edgevision.targets.tensorrt.plugin_v3 import register

        self._log = trt.Logger(trt.Logger.WARNING)
        self._creators = register(trt, {})
        self._runtime = trt.Runtime(self._log)
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise TargetError(str(path), f"{flavor.title} does not open it on this GPU", "build it for this GPU")
        self._execution = self._engine.create_execution_context()
        self._stream = driver.check(self._cuda.cuStreamCreate(0))
        self._events = [driver.check(self._cuda.cuEventCreate(0)) for _ in range(4)]
        self._buffers: dict[str, tuple[int, Any]] = {}
        self._shapes: tuple[tuple[int, ...], ...] = ()
        self._graph: CudaGraph | None = None
        self._tried_graph = False
        self.inputs: Sequence[TensorInfo] = tuple(_info(tensor) for tensor in record["inputs"])
        self.outputs: Sequence[TensorInfo] = tuple(_info(tensor) for tensor in record["outputs"])
        self.stages: Stages | None = None

    def __call__(self, feeds: Array | Mapping[str, Array]) -> list[Array]:
        """Run once and wait."""
        import numpy as np

        given = {i.name: np.ascontiguousarray(a, i.dtype) for i, a in _feeds(feeds, self.inputs)}
        self._set_shapes(given)
        results = [np.empty(tuple(self._execution.get_tensor_shape(o.name)), o.dtype) for o in self.outputs]
        for info, result in zip(self.outputs, results, strict=True):
            self._buffer(info.name, result.nbytes)
        self._run(given, results)
        return list(results)

    def _run(self, given: Mapping[str, Array], results: Sequence[Array]) -> None:
        cuda, check, stream = self._cuda, driver.check, self._stream
        before, ready, done, after = self._events
        check(cuda.cuEventRecord(before, stream))
        for name, array in given.items():
            check(cuda.cuMemcpyHtoDAsync(self._buffers[name][1], array.ctypes.data, array.nbytes, stream))
        check(cuda.cuEventRecord(ready, stream))
        replayed = self._graph is not None
        if self._graph is not None:
            self._graph.launch(stream)
        elif not self._enqueue():
            raise TargetError("the engine", "TensorRT refused to run it", "see TensorRT's messages above")
        check(cuda.cuEventRecord(done, stream))
        for info, result in zip(self.outputs, results, strict=True):
            check(cuda.cuMemcpyDtoHAsync(result.ctypes.data, self._buffers[info.name][1], result.nbytes, stream))
        check(cuda.cuEventRecord(after, stream))
        check(cuda.cuStreamSynchronize(stream))
        pairs = ((before, ready), (ready, done), (done, after))
        times = [float(check(cuda.cuEventElapsedTime(start, end))) for start, end in pairs]
        self.stages = Stages(copy_in=times[0], compute=times[1], copy_out=times[2], cuda_graph=replayed)
        if not self._tried_graph:
            self._graph, self._tried_graph = capture(stream, self._enqueue), True

    def _enqueue(self) -> bool:
        return bool(self._execution.execute_async_v3(int(self._stream)))

    def _set_shapes(self, given: Mapping[str, Array]) -> None:
        """Tell TensorRT the inputs' shapes; a graph was captured for those before."""
        shapes = tuple(array.shape for array in given.values())
        if shapes != self._shapes:
            self._drop_graph()
            self._shapes = shapes
        for name, array in given.items():
            if not self._execution.set_input_shape(name, array.shape):
                raise DataError(name, f"shape {array.shape} is outside the engine's profile", "see engine.json")
            self._buffer(name, array.nbytes)

    def _drop_graph(self) -> None:
        if self._graph is not None:
            self._graph.close()
        self._graph, self._tried_graph = None, False

    def _buffer(self, name: str, size: int) -> None:
        """Device memory for a tensor, grown when a larger one comes."""
        have, address = self._buffers.get(name, (0, None))
        if have < size or address is None:
            self._drop_graph()
            if address is not None:
                driver.check(self._cuda.cuMemFree(address))
            address = driver.check(self._cuda.cuMemAlloc(max(size, 1)))
            self._buffers[name] = (max(size, 1), address)
        self._execution.set_tensor_address(name, int(address))

    def close(self) -> None:
        """Free the engine, its buffers and the hold on the device."""
        self._drop_graph()
        for _, address in self._buffers.values():
            driver.check(self._cuda.cuMemFree(address))
        self._buffers.clear()
        for event in self._events:
            driver.check(self._cuda.cuEventDestroy(event))
        driver.check(self._cuda.cuStreamDestroy(self._stream))
        del self._execution, self._engine, self._runtime
        driver.check(self._cuda.cuDevicePrimaryCtxRelease(self._device))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open_device(cuda: Any) -> tuple[Any, Any]:
    """The first device's primary context, current: the one TensorRT and torch use."""
    driver.check(cuda.cuInit(0))
    device = driver.check(cuda.cuDeviceGet(0))
    context = driver.check(cuda.cuDevicePrimaryCtxRetain(device))
    driver.check(cuda.cuCtxSetCurrent(context))
    return device, context


def _info(tensor: Mapping[str, Any]) -> TensorInfo:
    return TensorInfo(name=tensor["name"], shape=tuple(tensor["shape"]), dtype=_NUMPY[tensor["dtype"]])


def _feeds(feeds: Array | Mapping[str, Array], inputs: Sequence[TensorInfo]) -> list[tuple[TensorInfo, Array]]:
    """Every input with its array."""
    if not isinstance(feeds, Mapping):
        if len(inputs) != 1:
            raise DataError("inputs", f"the model has {len(inputs)}", "pass a dict by name")
        return [(inputs[0], feeds)]
    missing = [info.name for info in inputs if info.name not in feeds]
    if missing:
        raise DataError(", ".join(missing), "the model needs this input", "pass it by name")
    return [(info, feeds[info.name]) for info in inputs]
