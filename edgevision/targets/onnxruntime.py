"""ONNX Runtime: the portable graph as it is, our kernels for the custom operators where their library is at hand.

Without the library (or with `plugins=False`) ONNX Runtime inlines the bodies that the graph carries: slower, equal.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from edgevision.errors import DataError, TargetError
from edgevision.targets.target import Artifact, Precision, TargetEntry, TensorInfo, WhyNot

if TYPE_CHECKING:
    import numpy as np
    import onnx_ir as ir
    import onnxruntime
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

__all__ = ["TARGET", "OnnxRuntime", "OrtRunner"]

FILE = "model.onnx"


@dataclass(frozen=True, kw_only=True)
class OnnxRuntime:
    """ONNX Runtime on the CPU.

    Attributes:
        precision: of the graph; this target changes nothing in it.
        plugins: use our kernel library; False takes the bodies alone.
        threads: intra-op threads; 0 leaves it to ONNX Runtime (one per physical core).
        optimize: let ONNX Runtime optimize the graph when it loads it.
        profile_to: prefix of ONNX Runtime's own per-op trace; None traces nothing.
    """

    precision: Precision = "fp32"
    plugins: bool = True
    threads: int = 0
    optimize: bool = True
    profile_to: str | None = None

    def why_not(self) -> WhyNot | None:
        """None when onnxruntime is installed (it comes with edgevision)."""
        if find_spec("onnxruntime") is None:
            return WhyNot(reason="the package onnxruntime is not installed", mend="pip install onnxruntime")
        return None

    def build(self, model: ir.Model, folder: Path) -> Artifact:
        """Write the graph and open it once: a graph that ONNX Runtime refuses must not become a bundle."""
        import onnx_ir

        path = folder / FILE
        if not path.exists():
            onnx_ir.save(model, path)
        library, notes = self._library(model, folder)
        with self.load(path):
            pass
        return Artifact(path=path, runnable=True, notes=notes, library=library)

    def _library(self, model: ir.Model, folder: Path) -> tuple[Path | None, tuple[str, ...]]:
        """A copy of the kernel library for whoever runs the bundle without us, or why there is none."""
        if not (self.plugins and _custom_ops(model)):
            return None, ()
        from edgevision import native

        missing = native.why_not()
        source = native.library_path()
        if missing is not None or source is None:
            reason = f"{missing.reason} (mend: {missing.mend})" if missing else "there is no library"
            return None, (f"kernels not used, the bodies serve instead: {reason}",)
        copy = folder / source.name
        shutil.copyfile(source, copy)
        return copy, ()

    def load(self, path: Path) -> OrtRunner:
        """Open a session on one ONNX file.

        Raises:
            TargetError: onnxruntime is missing or refuses the file.
        """
        missing = self.why_not()
        if missing is not None:
            raise TargetError("ort", missing.reason, missing.mend)
        return OrtRunner(path, self)


class OrtRunner:
    """A session of ONNX Runtime."""

    def __init__(self, path: Path, options: OnnxRuntime) -> None:
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


def _custom_ops(model: ir.Model) -> bool:
    from edgevision.ops.operator import DOMAIN

    return any(node.domain == DOMAIN for node in model.graph.all_nodes())


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


TARGET = TargetEntry(
    name="ort",
    summary="ONNX Runtime on the CPU, with our kernels",
    create=OnnxRuntime,
    package="onnxruntime",
    precisions=("fp32", "int8"),
)
