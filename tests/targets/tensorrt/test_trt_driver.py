"""The launch of a kernel, with a stand-in for the CUDA driver: which code is loaded and what the kernel is passed."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from edgevision.errors import DeviceError
from edgevision.targets.tensorrt import driver
from edgevision.targets.tensorrt.image import Binary, KernelImage
from edgevision.targets.tensorrt.plugins.plugin import Call, plugins

CALL = Call(shapes=((2, 5, 9, 13), (20, 1, 2, 2)), types=("fp32", "fp32"), attributes={"mode": "zero"})


class Cuda:
    """Answers as the driver does: a status, then the value."""

    def __init__(self, capability: tuple[int, int] = (8, 9), status: int = 0) -> None:
        self.status, self.loaded, self.launched = status, [], []
        major, minor = "MAJOR", "MINOR"
        self.CUdevice_attribute = SimpleNamespace(
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR=major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR=minor
        )
        self.cuCtxGetCurrent = lambda: (0, id(self))
        self.cuCtxGetDevice = lambda: (0, 0)
        self.cuDeviceGetAttribute = lambda name, device: (0, capability[name == minor])
        self.cuModuleLoadData = lambda code: (0, self.loaded.append(code))
        self.cuModuleGetFunction = lambda module, name: (0, name)

    def cuLaunchKernel(self, *arguments: object) -> tuple[int]:  # noqa: N802  (the driver's name)
        self.launched.append(arguments)
        return (self.status,)


def _image() -> KernelImage:
    binaries = [Binary(architecture=a, portable=False, shared=a, code=f"cubin{a}".encode()) for a in (80, 86, 89)]
    return KernelImage(specialisation=plugins()["EvDWT"].specialise(CALL), entry="dwt", binaries=tuple(binaries))


def test_a_launch_passes_inputs_scalars_output_and_two_nulls(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda()
    monkeypatch.setattr(driver, "cuda", lambda: cuda)
    for _ in range(2):
        driver.launch(_image(), CALL, [100, 200, 300], 7)
    assert cuda.loaded == [b"cubin89"], "the code of this architecture, loaded once"
    function, *grid, block_x, block_y, block_z, shared, stream, (values, kinds), extra = cuda.launched[0]
    plan = plugins()["EvDWT"].launch(CALL, _image().specialisation.constants)
    assert function == b"dwt"
    assert grid == [plan.programs, 1, 1]
    assert (block_x, block_y, block_z) == (32 * _image().specialisation.warps, 1, 1)
    assert (shared, stream, extra) == (89, 7, 0)
    assert values == (100, 200, *plan.scalars, 300, 0, 0)
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    assert kinds == (pointer, pointer, *[integer] * 5, pointer, pointer, pointer)


def test_a_refused_launch_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda(status=719)
    monkeypatch.setattr(driver, "cuda", lambda: cuda)
    with pytest.raises(DeviceError, match="719"):
        driver.launch(_image(), CALL, [1, 2, 3], 0)
