"""What software and hardware a result was made with; part of every manifest and of every cache key."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["PACKAGES", "available_memory", "cpu_name", "environment", "package_versions", "source_digest"]

#: Packages whose version may change an artifact.
PACKAGES = (
    "torch",
    "onnx",
    "onnx-ir",
    "onnxscript",
    "onnxruntime",
    "numpy",
    "timm",
    "coremltools",
    "tensorrt-rtx",
    "triton",
)


def package_versions() -> dict[str, str]:
    """Installed versions of `PACKAGES` and of edgevision itself, read without importing them."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    from edgevision import __version__

    return {"edgevision": __version__, **found}


def cpu_name() -> str:
    """The processor's model name where the system tells it, else its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def available_memory() -> int:
    """Bytes that this process may still take: what the machine has free, or what its control group leaves."""
    import psutil

    free = int(psutil.virtual_memory().available)
    for folder, limit, used, cached in _CGROUPS:
        bound, taken = _number(folder / limit), _number(folder / used)
        if bound is not None and taken is not None:
            free = min(free, max(0, bound - taken + _of_cache(folder / "memory.stat", cached)))
    return free


#: Where a container sees its limit, its use and, in memory.stat, what of that is cache and can be had back; v2 and v1.
_CGROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None  # "max" where there is no limit


def _of_cache(stat: Path, key: str) -> int:
    try:
        rows = dict(line.split() for line in stat.read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return 0
    return int(rows.get(key, 0))


def environment() -> Mapping[str, Any]:
    """The manifest's `environment`: nothing in it names the user, the host or a path."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "packages": package_versions(),
    }


@cache
def source_digest() -> str:
    """sha256 over edgevision's own source: any edit to an operator, a fold or a model makes every cached stage miss."""
    import edgevision

    digest = hashlib.sha256()
    package = Path(edgevision.__file__).parent
    for root in edgevision.__path__:
        base = Path(root)
        # In a checkout (which may be called anything, `edgevision` too) the other entry is the checkout's root.
        folders = [base] if base == package else [base / "models", base / "calibration", base / "plugins"]
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                if path.suffix in {".py", ".toml", ".cc", ".h", ".so"} and path.is_file():
                    digest.update(str(path.relative_to(base)).encode())
                    digest.update(path.read_bytes())
    return digest.hexdigest()
