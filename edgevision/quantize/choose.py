"""Which scheme a target takes by default; for ONNX Runtime that depends on the processor."""

from __future__ import annotations

import platform
from pathlib import Path

from edgevision.errors import UsageError

__all__ = ["default_scheme"]

#: Instructions that multiply u8 by s8 and add into 32 bits without saturating on the way.
_VNNI = frozenset({"avx512_vnni", "avx_vnni"})


def default_scheme(target: str) -> str:
    """Name of the scheme for `target` on this machine.

    Raises:
        UsageError: the target has no scheme.
    """
    if target == "ort":
        return _onnxruntime(platform.machine(), _cpu_flags())
    fixed = {"trt": "trt", "coreml": "coreml"}
    if target not in fixed:
        raise UsageError("--precision int8", f"the target {target} has no INT8 scheme", "use ort, trt or coreml")
    return fixed[target]


def _onnxruntime(machine: str, flags: frozenset[str]) -> str:
    if machine.lower() in ("aarch64", "arm64"):
        return "ort_arm64"
    return "ort_x86_vnni" if flags & _VNNI else "ort_x86_avx2"


def _cpu_flags() -> frozenset[str]:
    """Instruction sets Linux reports; elsewhere none, which leads to the scheme that is safe everywhere."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return frozenset()
    lines = (line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("flags"))
    return frozenset(next(lines, "").partition(":")[2].split())
