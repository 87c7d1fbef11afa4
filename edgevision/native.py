"""The native kernel library: where it is, why it cannot be used, and its registration with ONNX Runtime.

The library is optional. Without it every operator runs through the ONNX body that its model carries; with it ONNX
Runtime calls our kernels instead. It is looked for, in this order, where

1. the environment variable EDGEVISION_OPS_LIBRARY says (then nowhere else);
2. `pip install` put it: `edgevision/lib/` of the installed distribution;
3. a checkout builds it: `build/native/`, by `cmake -S plugins -B build/native && cmake --build build/native`.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Any

from edgevision.errors import TargetError
from edgevision.targets.target import WhyNot

__all__ = ["library_path", "library_version", "register", "simd", "why_not"]

LIBRARY = "libedgevision_ops.so"
VARIABLE = "EDGEVISION_OPS_LIBRARY"
#: The library asks for ONNX Runtime API 21, which every release from 1.21 on offers.
OLDEST_ONNXRUNTIME = (1, 21)
_ROOT = Path(__file__).resolve().parent.parent


def library_path() -> Path | None:
    """The kernel library, None when there is none."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named) if Path(named).is_file() else None
    candidates = [_ROOT / "build" / "native" / LIBRARY] if _is_checkout() else []
    installed = _installed()
    if installed is not None:
        candidates.insert(0, installed)
    return next((path for path in candidates if path.is_file()), None)


def why_not() -> WhyNot | None:
    """Why the kernels cannot be used here and what to do about it; None when they can."""
    return _runtime_missing() or _library_missing() or _library_unfit()


def library_version() -> str | None:
    """Version of edgevision the library was built from, None without a library."""
    return _ask("EdgevisionOpsVersion")


def simd() -> str | None:
    """Instruction set the kernels run with on this machine: avx512, avx2, neon or scalar; None without a library."""
    return _ask("EdgevisionOpsSimd")


def register(options: Any) -> bool:
    """Make ONNX Runtime use the kernels in sessions made with `options` (an `onnxruntime.SessionOptions`).

    Returns:
        Whether they are registered: False when there is no library, and the operators' ONNX bodies will run.

    Raises:
        TargetError: there is a library but it cannot be used, for instance with an ONNX Runtime that is too old.
    """
    missing = _runtime_missing()
    path = library_path()
    if path is None and missing is None and not os.environ.get(VARIABLE):
        return False
    problem = why_not()
    if problem is not None:
        raise TargetError(f"kernel library {path or os.environ.get(VARIABLE, '')}", problem.reason, problem.mend)
    options.register_custom_ops_library(str(path))
    return True


def _is_checkout() -> bool:
    return (_ROOT / "pyproject.toml").is_file() and (_ROOT / "plugins").is_dir()


def _installed() -> Path | None:
    # Asked of the distribution, not of this package's folder: with a wheel installed, Python run in a checkout imports
    # the checkout's sources, and the library still lies in site-packages.
    try:
        return Path(str(metadata.distribution("edgevision").locate_file(f"edgevision/lib/{LIBRARY}")))
    except metadata.PackageNotFoundError:
        return None


def _runtime_version() -> str:
    try:
        return metadata.version("onnxruntime")
    except metadata.PackageNotFoundError:  # onnxruntime-gpu and its kin import under the same name
        return str(import_module("onnxruntime").__version__)


def _runtime_missing() -> WhyNot | None:
    wanted = ".".join(map(str, OLDEST_ONNXRUNTIME))
    mend = f"pip install 'onnxruntime>={wanted}'"
    if util.find_spec("onnxruntime") is None:
        return WhyNot(reason="onnxruntime is not installed", mend=mend)
    version = _runtime_version()
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or tuple(map(int, numbers.groups())) < OLDEST_ONNXRUNTIME:
        return WhyNot(reason=f"onnxruntime {version} is older than {wanted}, whose API the kernels use", mend=mend)
    return None


def _library_missing() -> WhyNot | None:
    if library_path() is not None:
        return None
    named = os.environ.get(VARIABLE)
    if named:
        return WhyNot(reason=f"{VARIABLE} names {named}, which is no file", mend=f"correct or unset {VARIABLE}")
    rebuild = "make plugins" if _is_checkout() else "pip install --force-reinstall --no-deps edgevision"
    if not any(shutil.which(name) for name in (os.environ.get("CXX") or "c++", "g++", "clang++")):
        return WhyNot(
            reason="the kernels were not built and there is no C++ compiler", mend=f"install g++, then {rebuild}"
        )
    if not any((folder / "onnxruntime_c_api.h").is_file() for folder in _header_folders()):
        fetch = "run plugins/fetch_ort_headers.sh (Debian) or " if _is_checkout() else ""
        return WhyNot(
            reason="the kernels were not built and ONNX Runtime's C API headers are missing",
            mend=f"{fetch}set ONNXRUNTIME_INCLUDE_DIR to the folder with onnxruntime_c_api.h, then {rebuild}",
        )
    return WhyNot(reason="the kernels were not built", mend=rebuild)


def _header_folders() -> list[Path]:
    named = os.environ.get("ONNXRUNTIME_INCLUDE_DIR")
    if named:
        return [Path(named)]
    system = [Path(prefix) / "include" / "onnxruntime" for prefix in ("/usr", "/usr/local")]
    return [*system, _ROOT / "build" / "ort-headers" / "include"]


def _library_unfit() -> WhyNot | None:
    from edgevision import __version__

    try:
        version, instructions = library_version(), simd()
    except (OSError, AttributeError) as error:
        return WhyNot(reason=f"it cannot be loaded ({error})", mend="build it again: make plugins")
    if version != __version__:
        reason = f"it was built from edgevision {version}, this is {__version__}"
        return WhyNot(reason=reason, mend="build it again: make plugins")
    if instructions is None:
        wanted = os.environ.get("EDGEVISION_SIMD")
        reason = f"EDGEVISION_SIMD is '{wanted}', which this machine or this build does not have"
        return WhyNot(reason=reason, mend="unset it, or use scalar, avx2, avx512 or neon as the machine has")
    return None


def _ask(function: str) -> str | None:
    path = library_path()
    if path is None:
        return None
    answer = getattr(ctypes.CDLL(str(path)), function)
    answer.restype = ctypes.c_char_p
    text = answer()
    return None if text is None else text.decode()
