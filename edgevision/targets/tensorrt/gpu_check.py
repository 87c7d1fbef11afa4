"""Our kernels on the GPU of this machine: are they right at real sizes, and how near to its memory's speed.

Run as `python -m edgevision.targets.tensorrt.gpu_check` (it prints the tables for docs/tensorrt.md, and exits with 1 when
a kernel is wrong); `make gpu-test` runs the assertions of tests/gpu first. Kernels are compiled as
for an engine and started by the same `driver.launch` as a plugin's `enqueue`. The measure of speed is the bytes a call
must move at least (every input and the output once) over its time, as a share of what a plain copy achieves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from edgevision.proof import Difference, difference
from edgevision.targets.tensorrt import driver
from edgevision.targets.tensorrt.compile_kernels import compile_image
from edgevision.targets.tensorrt.gpu_rivals import RIVALS, rivals
from edgevision.targets.tensorrt.plugins.plugin import Attribute, Call, ElementType, plugins

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

__all__ = ["SCANS", "Timing", "compare", "copy_bandwidth", "device", "scan_call", "time_scan", "wavelet_calls"]

PACKAGE: Final = "edgevision.plugins.triton"
#: (batch, channels, states, length): the aim's two sizes, then MobileMamba's own.
SCANS: Final = ((64, 448, 1, 1024), (8, 384, 16, 3136), (64, 448, 1, 144), (64, 768, 1, 36), (64, 896, 1, 9))
#: Largest error over std: of float32 arithmetic over thousands of steps, and of one rounding to float16.
_BOUNDS: Final[Mapping[ElementType, float]] = {"fp32": 2e-5, "fp16": 5e-3}
_COPY: Final = 1 << 29
_RUNS: Final = 50
_RIVAL_RUNS: Final = 10


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One size: milliseconds of the kernel and of its rivals (None: not here), and bandwidth over the copy's."""

    size: tuple[int, int, int, int]
    milliseconds: float
    share_of_copy: float
    rivals: Mapping[str, float | None]


@contextmanager
def device() -> Iterator[str]:
    """The first GPU's primary context, current, for the body; yields the GPU's name."""
    cuda = driver.cuda()
    driver.check(cuda.cuInit(0))
    handle = driver.check(cuda.cuDeviceGet(0))
    driver.check(cuda.cuCtxSetCurrent(driver.check(cuda.cuDevicePrimaryCtxRetain(handle))))
    try:
        yield driver.check(cuda.cuDeviceGetName(128, handle)).split(b"\0")[0].decode()
    finally:
        driver.check(cuda.cuDevicePrimaryCtxRelease(handle))


def scan_call(size: tuple[int, int, int, int], data: ElementType = "fp32", reverse: tuple[int, ...] = (0,)) -> Call:
    """A scan with skip, bias and softplus, as every model here has."""
    batch, channels, states, length = size
    flat, state = (batch, channels, length), (batch, len(reverse), states, length)
    return Call(
        shapes=(flat, flat, (channels, states), state, state, (channels,), (channels,), None),
        types=(data, data, "fp32", data, data, "fp32", "fp32", None),
        attributes={"delta_softplus": 1, "reverse": reverse},
    )


def wavelet_calls(data: ElementType = "fp32") -> list[tuple[str, Call]]:
    """Haar and a longer bank, both ways, on an even and an odd map."""
    calls = []
    for taps, (height, width), mode in ((2, (56, 56), "zero"), (4, (57, 33), "zero"), (4, (56, 30), "periodization")):
        bank = (4 * 96, 1, taps, taps)
        forward: dict[str, Attribute] = {"mode": mode}
        backward: dict[str, Attribute] = {"mode": mode, "crop": (1, 0)}
        shapes = ((8, 96, height, width), bank), ((8, 96, 4, height, width), bank)
        calls.append(("EvDWT", Call(shapes=shapes[0], types=(data, "fp32"), attributes=forward)))
        calls.append(("EvIDWT", Call(shapes=shapes[1], types=(data, "fp32"), attributes=backward)))
    return calls


def compare(operator: str, call: Call) -> Difference:
    """Launch once on the GPU; how far the result is from the float64 reference of the stored inputs."""
    import numpy as np

    from edgevision.ops.operator import operators

    with _Launched(operator, call) as launched:
        launched.run()
        result = launched.result()
        reference = operators()[operator].reference(launched.inputs, call.attributes)[0]
    return difference(reference, result.astype(np.float64))


def copy_bandwidth() -> float:
    """Bytes per second, read and written, of a device-to-device copy of half a gibibyte."""
    cuda = driver.cuda()
    source, target = (driver.check(cuda.cuMemAlloc(_COPY)) for _ in range(2))
    try:
        milliseconds = _milliseconds(lambda: driver.check(cuda.cuMemcpyDtoDAsync(target, source, _COPY, 0)))
    finally:
        for address in (source, target):
            driver.check(cuda.cuMemFree(address))
    return 2 * _COPY / (milliseconds / 1e3)


def time_scan(size: tuple[int, int, int, int], copy: float, data: ElementType = "fp32") -> Timing:
    """Our kernel and whatever rivals are installed, on inputs of one size."""
    call = scan_call(size, data)
    with _Launched("EvSelectiveScan", call) as launched:
        milliseconds = _milliseconds(launched.run)
        moved = launched.bytes
        found = {name: run and _milliseconds(run, _RIVAL_RUNS) for name, run in rivals(launched.inputs).items()}
    share = moved / (milliseconds / 1e3) / copy
    return Timing(size=size, milliseconds=milliseconds, share_of_copy=share, rivals=found)


class _Launched:
    """A call with its inputs on the device, ready to be launched."""

    def __init__(self, operator: str, call: Call) -> None:
        import numpy as np

        plugin = plugins()[operator]
        self._call = call
        self._image = compile_image(plugin.specialise(call), PACKAGE)
        drawn = plugin.draw(call, np.random.default_rng(0))
        kinds = {"fp32": np.float32, "fp16": np.float16}
        self.inputs: list[Array | None] = [
            None if tensor is None or kind is None else tensor.astype(kinds[kind])
            for tensor, kind in zip(drawn, call.types, strict=True)
        ]
        shape = plugin.output([s or () for s in call.shapes], call.attributes)
        self._result = np.empty(shape, kinds[call.types[0] or "fp32"])
        self.bytes = self._result.nbytes + sum(tensor.nbytes for tensor in self.inputs if tensor is not None)

    def __enter__(self) -> _Launched:
        cuda = driver.cuda()
        self._addresses = []
        for tensor in self.inputs:
            if tensor is not None:
                self._addresses.append(driver.check(cuda.cuMemAlloc(tensor.nbytes)))
                driver.check(cuda.cuMemcpyHtoD(self._addresses[-1], tensor.ctypes.data, tensor.nbytes))
        self._addresses.append(driver.check(cuda.cuMemAlloc(self._result.nbytes)))
        return self

    def __exit__(self, *_: object) -> None:
        for address in self._addresses:
            driver.check(driver.cuda().cuMemFree(address))

    def run(self) -> None:
        driver.launch(self._image, self._call, [int(address) for address in self._addresses], 0)

    def result(self) -> Array:
        cuda = driver.cuda()
        driver.check(cuda.cuCtxSynchronize())
        driver.check(cuda.cuMemcpyDtoH(self._result.ctypes.data, self._addresses[-1], self._result.nbytes))
        return self._result


def _milliseconds(run: Callable[[], Any], runs: int = _RUNS) -> float:
    """Median of single runs between events, after a tenth as many to warm up."""
    cuda = driver.cuda()
    start, end = (driver.check(cuda.cuEventCreate(0)) for _ in range(2))
    times = []
    for _ in range(runs + runs // 10):
        driver.check(cuda.cuEventRecord(start, 0))
        run()
        driver.check(cuda.cuEventRecord(end, 0))
        driver.check(cuda.cuEventSynchronize(end))
        times.append(float(driver.check(cuda.cuEventElapsedTime(start, end))))
    for event in (start, end):
        driver.check(cuda.cuEventDestroy(event))
    return sorted(times[runs // 10 :])[runs // 2]


def _report() -> int:
    missing = driver.why_no_gpu()
    if missing is not None:
        sys.stderr.write(f"not run: {missing.reason}\n")
        return 6
    with device() as name:
        copy = copy_bandwidth()
        _say(f"{name}, compute capability {driver.architecture() / 10:.1f}: a copy moves {copy / 1e9:.0f} GB/s\n")
        right = _report_scans(copy) & _report_wavelets()
    _say("\nall errors within their bounds" if right else "\nA KERNEL IS WRONG")
    return 0 if right else 1


def _report_scans(copy: float) -> bool:
    _say(f"| (B, D, N, L) | storage | error / std | ms | share of copy | {' | '.join(f'{r}, ms' for r in RIVALS)} |")
    _say("|---" * (5 + len(RIVALS)) + "|")
    right = True
    for data, size in product(_BOUNDS, SCANS):
        error = compare("EvSelectiveScan", scan_call((1, *size[1:]), data)).max_abs_over_std
        timing = time_scan(size, copy, data)
        others = ["-" if ms is None else f"{ms:.3f}" for ms in timing.rivals.values()]
        cells = [size, data, f"{error:.1e}", f"{timing.milliseconds:.3f}", f"{timing.share_of_copy:.0%}", *others]
        _say(f"| {' | '.join(map(str, cells))} |")
        right &= error <= _BOUNDS[data]
    return right


def _report_wavelets() -> bool:
    _say("\n| operator | input | storage | error / std |\n|---|---|---|---|")
    right = True
    for operator, call in [pair for data in _BOUNDS for pair in wavelet_calls(data)]:
        error = compare(operator, call).max_abs_over_std
        _say(f"| {operator} | {' x '.join(map(str, call.dims(0)))} | {call.types[0]} | {error:.1e} |")
        right &= error <= _BOUNDS[call.types[0] or "fp32"]
    return right


def _say(line: str) -> None:
    """At once: what was measured stays said when the time runs out."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(_report())
