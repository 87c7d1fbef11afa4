"""Our kernels on the GPU of this machine: are they right at real sizes, and how near to its memory's speed.

Run as `python -m edgevision.targets.tensorrt.gpu_check`; `make gpu-test` asserts the first half. Kernels are compiled as
for an engine and started by the same `driver.launch` as a plugin's `enqueue`. The measure of speed is the bytes a call
must move at least (every input and the output once) over its time, as a share of what a plain copy achieves.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from math import prod
from typing import TYPE_CHECKING, Any, Final

from edgevision.proof import Difference, difference
from edgevision.targets.tensorrt import driver
from edgevision.targets.tensorrt.compile_kernels import compile_image
from edgevision.targets.tensorrt.plugins.plugin import Attribute, Call, ElementType, plugins

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

__all__ = ["SCANS", "Timing", "compare", "copy_bandwidth", "device", "scan_call", "time_scan", "wavelet_calls"]

PACKAGE: Final = "edgevision.plugins.triton"
#: (batch, channels, states, length): the aim's two sizes, then MobileMamba's own.
SCANS: Final = ((64, 448, 1, 1024), (8, 384, 16, 3136), (64, 448, 1, 144), (64, 768, 1, 36), (64, 896, 1, 9))
_BYTES: Final[Mapping[ElementType, int]] = {"fp32": 4, "fp16": 2}
_COPY: Final = 1 << 29
_RUNS: Final = 50


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
        rivals = _rivals(launched.inputs)
    return Timing(
        size=size, milliseconds=milliseconds, share_of_copy=moved / (milliseconds / 1e3) / copy, rivals=rivals
    )


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


def _milliseconds(run: Any) -> float:
    """Median of `_RUNS` single runs between events, after five to warm up."""
    cuda = driver.cuda()
    start, end = (driver.check(cuda.cuEventCreate(0)) for _ in range(2))
    times = []
    for _ in range(_RUNS + 5):
        driver.check(cuda.cuEventRecord(start, 0))
        run()
        driver.check(cuda.cuEventRecord(end, 0))
        driver.check(cuda.cuEventSynchronize(end))
        times.append(float(driver.check(cuda.cuEventElapsedTime(start, end))))
    for event in (start, end):
        driver.check(cuda.cuEventDestroy(event))
    return sorted(times[5:])[_RUNS // 2]


def _rivals(inputs: Sequence[Array | None]) -> dict[str, float | None]:
    """The plain PyTorch scan, the same compiled, and mamba_ssm's kernel; None for one that is not here."""
    found: dict[str, float | None] = {"torch": None, "torch.compile": None, "mamba_ssm": None}
    import torch

    if not torch.cuda.is_available():
        return found
    u, delta, A, B, C, D, bias = (None if t is None else torch.from_numpy(t).cuda() for t in inputs[:7])

    def plain(u: Any, delta: Any, A: Any, B: Any, C: Any, D: Any, bias: Any) -> Any:
        dt = torch.nn.functional.softplus(delta + bias[:, None])
        decay, drive = torch.exp(dt[..., None] * A[:, None]), (dt * u)[..., None] * B[:, 0].transpose(1, 2)[:, None]
        state, steps = torch.zeros_like(decay[:, :, 0]), []
        for t in range(u.shape[2]):
            state = decay[:, :, t] * state + drive[:, :, t]
            steps.append((state * C[:, 0, None, :, t]).sum(-1))
        return torch.stack(steps, 2) + D[:, None] * u

    arguments = (u, delta, A, B, C, D, bias)
    found["torch"] = _milliseconds(partial(plain, *arguments))
    found["torch.compile"] = _milliseconds(partial(torch.compile(plain), *arguments))
    if find_spec("mamba_ssm") is not None:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

        found["mamba_ssm"] = _milliseconds(partial(selective_scan_fn, u, delta, A, B, C, D, None, bias, True))
    return found


def _report() -> int:
    missing = driver.why_no_gpu()
    if missing is not None:
        sys.stderr.write(f"not run: {missing.reason}\n")
        return 6
    write = sys.stdout.write
    with device() as name:
        copy = copy_bandwidth()
        write(f"{name}: copy {copy / 1e9:.0f} GB/s\n\n")
        write("| (B, D, N, L) | storage | error | ms | share of copy | torch | torch.compile | mamba_ssm |\n")
        write("|---|---|---|---|---|---|---|---|\n")
        for data in _BYTES:
            for size in SCANS:
                error = compare("EvSelectiveScan", scan_call((2, *size[1:]), data)).max_abs_over_std
                timing = time_scan(size, copy, data)
                others = " | ".join("-" if ms is None else f"{ms:.3f}" for ms in timing.rivals.values())
                row = f"| {size} | {data} | {error:.1e} | {timing.milliseconds:.3f} | {timing.share_of_copy:.0%} | {others} |"
                write(row + "\n")
        for operator, call in [(o, c) for data in _BYTES for o, c in wavelet_calls(data)]:
            elements = prod(call.static(0, axis) for axis in range(len(call.dims(0))))
            error = compare(operator, call).max_abs_over_std
            write(f"{operator} of {elements:,} elements, {call.types[0]}: error {error:.1e}\n")
    return 0


if __name__ == "__main__":
    sys.exit(_report())
