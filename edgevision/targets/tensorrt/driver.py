"""Launching a kernel image through the CUDA driver (`cuda-bindings`), in whatever context is current.

This is the one place a kernel of ours is started from: a plugin's `enqueue`, the GPU tests and the timings call it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from edgevision.errors import DeviceError, TargetError
from edgevision.targets.target import WhyNot
from edgevision.targets.tensorrt.image import Binary, KernelImage
from edgevision.targets.tensorrt.plugins.plugin import Call, plugins

__all__ = ["architecture", "check", "cuda", "gpu_capability", "launch", "why_no_gpu"]

WARP: Final = 32
#: CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR.
_CAPABILITY: Final = (75, 76)
_loaded: dict[tuple[int, str], tuple[Any, int]] = {}


@cache
def why_no_gpu() -> WhyNot | None:
    """None when a driver and a GPU are here. Opens the driver's library, and nothing of Python's."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return WhyNot(reason="this machine has no NVIDIA driver (libcuda.so.1)", mend="run it on a machine with a GPU")
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return WhyNot(reason="the NVIDIA driver sees no GPU", mend="see nvidia-smi")
    return None


@cache
def gpu_capability() -> str:
    """Compute capability of the first GPU, e.g. "8.9"; only where `why_no_gpu` is None."""
    driver = ctypes.CDLL("libcuda.so.1")
    device, parts = ctypes.c_int(0), []
    driver.cuDeviceGet(ctypes.byref(device), 0)
    for attribute in _CAPABILITY:
        part = ctypes.c_int(0)
        driver.cuDeviceGetAttribute(ctypes.byref(part), attribute, device)
        parts.append(part.value)
    return ".".join(map(str, parts))


def cuda() -> Any:
    """The driver's bindings.

    Raises:
        TargetError: the package is missing.
    """
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise TargetError("cuda-bindings", f"it cannot be imported ({error})", "pip install cuda-bindings") from error
    return driver


def check(answer: tuple[Any, ...]) -> Any:
    """The value of a driver call.

    Raises:
        DeviceError: the call failed.
    """
    status, *values = answer
    if int(status) != 0:
        raise DeviceError("CUDA", f"a driver call failed with {status}", "see the driver's log (dmesg)")
    return values[0] if len(values) == 1 else (tuple(values) or None)


def architecture() -> int:
    """Compute capability of the current context's device, without the dot."""
    driver = cuda()
    device = check(driver.cuCtxGetDevice())
    names = driver.CUdevice_attribute
    major = check(driver.cuDeviceGetAttribute(names.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device))
    minor = check(driver.cuDeviceGetAttribute(names.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device))
    return 10 * int(major) + int(minor)


def launch(image: KernelImage, call: Call, pointers: Sequence[int], stream: int) -> None:
    """Start the kernel on `stream`. `pointers` are device addresses: the inputs that are given, then the output."""
    plugin = next(p for p in plugins().values() if p.kernel == image.specialisation.kernel)
    plan = plugin.launch(call, image.specialisation.constants)
    function, shared = _function(image)
    *inputs, output = pointers
    # Triton's kernels take two more pointers, to scratch memory that ours do not use.
    values = (*inputs, *plan.scalars, output, 0, 0)
    kinds = (*[ctypes.c_void_p] * len(inputs), *[ctypes.c_int] * len(plan.scalars), *[ctypes.c_void_p] * 3)
    if plan.programs == 0:
        return
    threads = WARP * image.specialisation.warps
    check(cuda().cuLaunchKernel(function, plan.programs, 1, 1, threads, 1, 1, shared, stream, (values, kinds), 0))


def _function(image: KernelImage) -> tuple[Any, int]:
    driver = cuda()
    context = int(check(driver.cuCtxGetCurrent()))
    key = (context, image.digest)
    if key not in _loaded:
        binary: Binary = image.for_device(architecture())
        module = check(driver.cuModuleLoadData(binary.code))
        _loaded[key] = (check(driver.cuModuleGetFunction(module, image.entry.encode())), binary.shared)
    return _loaded[key]
