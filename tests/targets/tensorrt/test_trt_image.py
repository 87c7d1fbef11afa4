"""Kernel images: what goes in comes out, and each device gets the code it can run."""

from __future__ import annotations

import pytest

from edgevision.errors import TargetError
from edgevision.targets.tensorrt.image import Binary, KernelImage
from edgevision.targets.tensorrt.plugins.plugin import Specialisation

SPECIALISATION = Specialisation(
    kernel="dwt", inputs=("fp16", "fp32", None), output="fp16", constants={"TAPS": 2, "BLOCK": 64}, warps=1
)


def _image() -> KernelImage:
    cubins = [
        Binary(architecture=a, portable=False, shared=a, code=f"cubin{a}".encode())
        for a in (75, 80, 86, 87, 89, 90, 120)
    ]
    ptx = Binary(architecture=80, portable=True, shared=7, code=b"ptx\0")
    return KernelImage(specialisation=SPECIALISATION, entry="dwt", binaries=(*cubins, ptx))


def test_an_image_survives_its_bytes() -> None:
    image = KernelImage.decode(_image().encode())
    assert image == _image()
    assert image.encode() == _image().encode()
    assert image.specialisation.key == SPECIALISATION.key


@pytest.mark.parametrize(
    ("device", "code"),
    [(75, b"cubin75"), (86, b"cubin86"), (87, b"cubin87"), (90, b"cubin90"), (121, b"cubin120"), (100, b"ptx\0")],
)
def test_a_device_gets_the_closest_code(device: int, code: bytes) -> None:
    assert _image().for_device(device).code == code


def test_a_device_too_old_is_refused() -> None:
    with pytest.raises(TargetError, match=r"no code for compute capability 7\.0"):
        _image().for_device(70)


@pytest.mark.parametrize("data", [b"", b"EVKERN99" + b"0" * 40, _image().encode()[:40]], ids=["empty", "other", "cut"])
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(TargetError, match="kernel in the engine"):
        KernelImage.decode(data)


def test_equal_specialisations_share_a_key_and_others_do_not() -> None:
    other = Specialisation(kernel="dwt", inputs=("fp32", "fp32"), output="fp32", constants={"TAPS": 2}, warps=1)
    assert Specialisation.from_json(SPECIALISATION.as_json()).key == SPECIALISATION.key
    assert other.key != SPECIALISATION.key
