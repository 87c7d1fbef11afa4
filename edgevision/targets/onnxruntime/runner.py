"""A session of ONNX Runtime on the CPU, with our kernels where their library is at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from edgevision.errors import DataError, TargetError
from edgevision.targets.target import TensorInfo

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

__all__ = ["OrtRunner", "SessionSettings"]


@dataclass(frozen=True, kw_only=True)
class SessionSettings:
    """How a session is opened; see `OnnxRuntime`, whose options these are."""

    plugins: bool
    threads: int
    optimize: bool
    profile_to: str | None


class OrtRunner:
    """A session of ONNX Runtime."""

    def __init__(self, path: Path, options: SessionSettings) -> None:
        import onnxruntime as ort

        settings = ort.SessionOptions()
        settings.log_severity_level = 4  # failures come as exceptions
        settings.intra_op_num_threads = options.threads
        settings.inter_op_num_threads = 1
        if not options.optimize:
            settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        if options.profile_to is not None:
            settings.enable_profiling = True
            settings.profile_file_prefix = options.profile_to
        self._name = path.name
        self.kernels = options.plugins and _register_kernels(settings)
        try:
            self.session = ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        except _session_errors() as error:
            reason = str(error).strip().splitlines()[0]
            raise TargetError(
                path.name, f"ONNX Runtime {ort.__version__} refuses it ({reason})", "see docs/errors.md"
            ) from error
        self.inputs: Sequence[TensorInfo] = tuple(_info(i) for i in self.session.get_inputs())
        self.outputs: Sequence[TensorInfo] = tuple(_info(o) for o in self.session.get_outputs())

    def __call__(self, feeds: Array | Mapping[str, Array]) -> list[Array]:
        """Run once. A lone array stands for the only input."""
        if not isinstance(feeds, Mapping):
            if len(self.inputs) != 1:
                names = ", ".join(i.name for i in self.inputs)
                raise DataError("inputs", f"the model has {len(self.inputs)}", f"pass a dict with {names}")
            feeds = {self.inputs[0].name: feeds}
        try:
            return list(self.session.run(None, dict(feeds)))
        except _session_errors() as error:
            reason = str(error).strip().splitlines()[0]
            if "allocate memory" in reason or "bad_alloc" in reason:
                raise MemoryError(reason) from error
            raise TargetError(
                self._name, f"ONNX Runtime fails to run it ({reason})", "check the inputs' shapes; see docs/errors.md"
            ) from error

    def close(self) -> None:
        del self.session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _register_kernels(settings: onnxruntime.SessionOptions) -> bool:
    from edgevision import native

    try:
        return native.register(settings)
    except TargetError as error:
        raise TargetError(error.thing, error.reason, f"{error.mend}; or do without kernels: --no-plugins") from error


def _session_errors() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
    )


def _info(tensor: Any) -> TensorInfo:
    dims = tuple(d if isinstance(d, int) else None for d in tensor.shape)
    dtype = tensor.type.removeprefix("tensor(").removesuffix(")")
    return TensorInfo(name=tensor.name, shape=dims, dtype={"float": "float32", "double": "float64"}.get(dtype, dtype))
