"""What Core ML's own tools say of a package: times per choice of compute units, and where each operation would run.

Needs a Mac; checked here with stand-ins for those tools, not run. `measure` times predictions on this Mac, or on a
tethered iPhone through coremltools' remote device. `placement` reads the compute plan.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import DeviceError
from edgevision.targets.coreml.evaluator.program import open_package
from edgevision.targets.coreml.features import Features
from edgevision.targets.coreml.mac import as_core_ml_takes

__all__ = ["UNITS", "Measured", "measure", "placement", "sample_features", "tethered"]

#: Choices of compute units, as coremltools names them.
UNITS = ("ALL", "CPU_AND_NE", "CPU_AND_GPU", "CPU_ONLY")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Milliseconds of single predictions on one choice of compute units, and of one load."""

    compute_units: str
    load_ms: float
    samples_ms: Sequence[float]


def sample_features(path: Path, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, Any]:
    """What the package at `path` is given for inputs of its graph."""
    return as_core_ml_takes(Features.of(open_package(path)), feeds)


def tethered() -> Any:
    """The one connected iPhone, its measuring app built and started.

    Raises:
        DeviceError: there is none, or more than one.
    """
    from coremltools.models.ml_program.experimental.remote_device import Device, DeviceType

    phones = Device.get_connected_devices(DeviceType.IPHONE)
    if len(phones) != 1:
        raise DeviceError("tethered iPhone", f"{len(phones)} are connected", "connect one, unlocked, in developer mode")
    return asyncio.run(phones[0].prepare_for_model_debugging())


def measure(
    path: Path, features: Mapping[str, Any], *, runs: int, units: Sequence[str] = UNITS, device: Any = None
) -> list[Measured]:
    """Time `runs` predictions on `features` for each of `units`; `device` is what `tethered` gave, None for this Mac."""
    return asyncio.run(_measure(path, features, units, runs, device))


async def _measure(
    path: Path, features: Mapping[str, Any], units: Sequence[str], runs: int, device: Any
) -> list[Measured]:
    import coremltools as ct
    from coremltools.models.ml_program.experimental.perf_utils import MLModelBenchmarker

    results = []
    for unit in units:
        model = ct.models.MLModel(str(path), compute_units=ct.ComputeUnit[unit], skip_model_load=device is not None)
        benchmark = MLModelBenchmarker(model, device=device)
        load = await benchmark.benchmark_load(iterations=1)
        # Its own random inputs fail for pictures, so it gets the bundle's sample.
        timed = await benchmark.benchmark_predict(iterations=runs, inputs=dict(features), warmup=True)
        results.append(Measured(compute_units=unit, load_ms=load.samples[0], samples_ms=tuple(timed.samples)))
    return results


def placement(path: Path) -> Mapping[str, int]:
    """Per kind of compute device, how many operations Core ML would place there."""
    import coremltools as ct
    from coremltools.models.compute_plan import MLComputePlan

    model = ct.models.MLModel(str(path))
    plan = MLComputePlan.load_from_path(model.get_compiled_model_path())
    found: Counter[str] = Counter()
    for operation in plan.model_structure.program.functions["main"].block.operations:
        usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
        if usage is not None:
            found[type(usage.preferred_compute_device).__name__] += 1
    return found
