"""The two TensorRTs: which one is here, what it can build for, and how its libraries are made loadable.

TensorRT for RTX builds for a list of consumer architectures without a GPU; TensorRT (10 and 11) builds on and for the
GPU of the machine. Their Python interfaces are the same but for the names below.
"""

from __future__ import annotations

import ctypes
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

from edgevision.errors import TargetError, UsageError
from edgevision.targets.target import WhyNot
from edgevision.targets.tensorrt import driver

__all__ = ["FLAVORS", "Flavor", "FlavorName", "check_capabilities", "choose", "flavor_needs", "import_flavor"]

FlavorName = Literal["rtx", "enterprise"]


@dataclass(frozen=True, kw_only=True)
class Flavor:
    """One TensorRT.

    Attributes:
        title: its name in messages.
        module: what Python imports.
        distributions: names it may be installed under, for its version.
        libraries: the package that ships its shared libraries; `links` are versioned file -> name looked up at run time.
        capabilities: compute capabilities an engine can be built for without that GPU; empty: the GPU here, only.
        install: how to get it.
    """

    name: FlavorName
    title: str
    module: str
    distributions: Sequence[str]
    libraries: str
    links: Mapping[str, str]
    capabilities: Sequence[str]
    install: str

    def installed(self) -> bool:
        """Whether the package is there; says nothing about whether it loads."""
        return find_spec(self.module) is not None

    def version(self) -> str | None:
        """The installed version, None when it cannot be told without loading it."""
        for name in self.distributions:
            try:
                return metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return None


FLAVORS: Final[Mapping[str, Flavor]] = {
    "rtx": Flavor(
        name="rtx",
        title="TensorRT for RTX",
        module="tensorrt_rtx",
        distributions=("tensorrt_rtx", "tensorrt_rtx_cu13", "tensorrt_rtx_cu12"),
        libraries="tensorrt_rtx_libs",
        links={
            "libtensorrt_rtx.so.1": "libtensorrt_rtx.so",
            "libtensorrt_onnxparser_rtx.so.1": "libtensorrt_onnxparser_rtx.so",
        },
        capabilities=("7.5", "8.0", "8.6", "8.9", "12.0", "12.1"),
        install="pip install 'edgevision[trt]'",
    ),
    "enterprise": Flavor(
        name="enterprise",
        title="TensorRT",
        module="tensorrt",
        distributions=("tensorrt", "tensorrt_cu13", "tensorrt_cu12"),
        libraries="tensorrt_libs",
        links={},
        capabilities=(),
        install="pip install tensorrt, or NVIDIA's package for your system",
    ),
}

_INSTEAD: Final[Mapping[str, str]] = {
    "8.7": "Jetson Orin: build on the device with --flavor enterprise (JetPack brings TensorRT)",
    "9.0": "H100, H200, GH200: build on that machine with --flavor enterprise",
    "10.0": "B100, B200: build on that machine with --flavor enterprise",
}


def choose(name: str | None) -> Flavor | WhyNot:
    """The flavor asked for, or the one that is installed (RTX first); why not, when there is none."""
    if name is not None and name not in FLAVORS:
        raise UsageError(f"--flavor {name}", "there is no such TensorRT", f"use one of {', '.join(FLAVORS)}")
    asked = [FLAVORS[name]] if name else list(FLAVORS.values())
    for flavor in asked:
        if flavor.installed():
            return flavor
    titles = " or ".join(flavor.title for flavor in asked)
    return WhyNot(reason=f"{titles} is not installed", mend=asked[0].install)


def check_capabilities(flavor: Flavor, wanted: Sequence[str]) -> None:
    """Refuse a compute capability that an engine of this flavor cannot be built for here."""
    for capability in wanted:
        thing = f"--compute-capability {capability}"
        if not flavor.capabilities:
            reason = f"{flavor.title} builds for the GPU of the machine it runs on and cannot be told another"
            raise TargetError(thing, reason, "leave the option out, or use --flavor rtx")
        if capability not in flavor.capabilities:
            instead = _INSTEAD.get(capability, f"use one of {', '.join(flavor.capabilities)}")
            raise TargetError(thing, f"{flavor.title} has no code generator for it", instead)


def flavor_needs(flavor: Flavor) -> WhyNot | None:
    """None when an engine of this flavor can run here: a driver, a GPU, and one that the flavor knows."""
    missing = driver.why_no_gpu()
    if missing is not None or not flavor.capabilities:
        return missing
    here = driver.gpu_capability()
    if here in flavor.capabilities:
        return None
    mend = _INSTEAD.get(here, f"use a GPU of one of {', '.join(flavor.capabilities)}")
    return WhyNot(reason=f"{flavor.title} does not run on this GPU (compute capability {here})", mend=mend)


def import_flavor(flavor: Flavor) -> Any:
    """The flavor's module, with its libraries loaded so that the ONNX parser finds them again.

    The parser of TensorRT for RTX opens `libtensorrt_rtx.so` when it meets a plugin, the wheel ships only
    `libtensorrt_rtx.so.1`, and the miss ends the process. Loading both libraries through a folder that also holds the
    unversioned names leaves the installed package as it is and makes the look-up, relative to that folder, succeed.
    """
    if flavor.module not in sys.modules:
        _load_libraries(flavor)
    try:
        module = import_module(flavor.module)
        module.Logger  # noqa: B018  (a namespace package without its bindings imports, and has nothing in it)
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        raise _cannot_load(flavor, error) from error
    return module


def _load_libraries(flavor: Flavor) -> None:
    spec = find_spec(flavor.libraries)
    if not flavor.links or spec is None or not spec.submodule_search_locations:
        return
    home = Path(next(iter(spec.submodule_search_locations)))
    if not all((home / library).is_file() for library in flavor.links):
        return  # not the wheel for Linux; the package's own loader knows its files
    folder = Path(tempfile.mkdtemp(prefix="edgevision-trt-"))
    for library, plain in flavor.links.items():
        (folder / library).symlink_to(home / library)
        (folder / plain).symlink_to(home / library)
    try:
        for library in flavor.links:
            ctypes.CDLL(str(folder / library))
    except OSError as error:
        raise _cannot_load(flavor, error) from error


def _cannot_load(flavor: Flavor, error: Exception) -> TargetError:
    version = flavor.version() or "unknown version"
    return TargetError(
        f"{flavor.title} ({version})",
        f"it is installed and cannot be loaded: {error}",
        f"install it anew: {flavor.install}",
    )
