"""Running and measuring a package with Core ML itself. Needs a Mac; wired, not run here.

`measure` times predictions on each choice of compute units, on this Mac or on a tethered iPhone through coremltools'
remote device; `placement` tells from the compute plan where each operation would run.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import DataError, DeviceError
from edgevision.targets.coreml.evaluator.program import open_package
from edgevision.targets.target import TensorInfo

__all__ = ["MacRunner", "Measured", "measure", "placement", "tethered"]

Array = NDArray[np.generic]
_DTYPES = {"fp16": "float16", "fp32": "float32", "int32": "int32"}


class MacRunner:
    """A package loaded by Core ML; outputs come in the order of the program's."""

    def __init__(self, path: Path) -> None:
        import coremltools as ct

        program = open_package(path)
        self.inputs: Sequence[TensorInfo] = [
            TensorInfo(name=name, shape=kind.dims or (), dtype=_DTYPES[kind.dtype])
            for name, kind in program.main.inputs
        ]
        types = {name: kind for operation in program.main.operations for name, kind in operation.outputs}
        self.outputs: Sequence[TensorInfo] = [
            TensorInfo(name=name, shape=types[name].dims or (), dtype=_DTYPES[types[name].dtype])
            for name in program.main.outputs
        ]
        self._images = {
            entry.name
            for entry in program.specification.description.input
            if entry.type.WhichOneof("Type") == "imageType"
        }
        self._model = ct.models.MLModel(str(path))

    def __call__(self, feeds: Array | Mapping[str, Array]) -> list[Array]:
        """Run once; `feeds` is the only input, or inputs by name."""
        named = feeds if isinstance(feeds, Mapping) else {self.inputs[0].name: feeds}
        missing = [info.name for info in self.inputs if info.name not in named]
        if missing:
            raise DataError(f"inputs {missing}", "they are not given", "give every input by name")
        result = self._model.predict({name: self._feature(name, value) for name, value in named.items()})
        return [np.asarray(result[info.name]) for info in self.outputs]

    def _feature(self, name: str, value: Array) -> Any:
        if name not in self._images:
            return value
        from PIL import Image

        return Image.fromarray(np.asarray(value)[0].transpose(1, 2, 0).astype(np.uint8))

    def close(self) -> None:
        """Let Core ML free the model."""
        self._model = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Milliseconds of single predictions on one choice of compute units, and of one load."""

    compute_units: str
    load_ms: float
    samples_ms: Sequence[float]


def tethered() -> Any:
    """The one connected iPhone.

    Raises:
        DeviceError: there is none, or more than one.
    """
    from coremltools.models.ml_program.experimental.remote_device import Device, DeviceType

    phones = Device.get_connected_devices(DeviceType.IPHONE)
    if len(phones) != 1:
        raise DeviceError("tethered iPhone", f"{len(phones)} are connected", "connect one, unlocked, in developer mode")
    return phones[0]


def measure(path: Path, *, units: Sequence[str], runs: int, device: Any = None) -> list[Measured]:
    """Time `runs` predictions for each of `units` (`ALL`, `CPU_AND_NE`, `CPU_AND_GPU`, `CPU_ONLY`).

    `device` is a coremltools remote device that was prepared for debugging, None for this Mac.
    """
    return asyncio.run(_measure(path, units, runs, device))


async def _measure(path: Path, units: Sequence[str], runs: int, device: Any) -> list[Measured]:
    import coremltools as ct
    from coremltools.models.ml_program.experimental.perf_utils import MLModelBenchmarker

    results = []
    for unit in units:
        model = ct.models.MLModel(str(path), compute_units=ct.ComputeUnit[unit], skip_model_load=device is not None)
        benchmark = MLModelBenchmarker(model, device=device)
        load = await benchmark.benchmark_load(iterations=1)
        timed = await benchmark.benchmark_predict(iterations=runs, warmup=True)
        results.append(Measured(compute_units=unit, load_ms=load.samples[0], samples_ms=tuple(timed.samples)))
    return results


def placement(path: Path) -> Mapping[str, Counter[str]]:
    """Per compute device, how many operations of each kind Core ML would place there."""
    import coremltools as ct
    from coremltools.models.compute_plan import MLComputePlan

    model = ct.models.MLModel(str(path))
    plan = MLComputePlan.load_from_path(model.get_compiled_model_path())
    result: dict[str, Counter[str]] = {}
    for operation in plan.model_structure.program.functions["main"].block.operations:
        usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
        if usage is not None:
            device = type(usage.preferred_compute_device).__name__
            result.setdefault(device, Counter())[operation.operator_name] += 1
    return result
