"""What a machine has for edgevision and what it lacks, as `edgevision doctor` shows it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from edgevision.cache import default_cache
from edgevision.environment import cpu_name, package_versions
from edgevision.targets.target import targets

__all__ = ["Finding", "diagnose"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at: whether it is in order, what was found, and how to mend it."""

    what: str
    good: bool
    state: str
    mend: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return asdict(self)


def diagnose() -> list[Finding]:
    """Look at everything; never raises for what is missing."""
    return [*_machine(), *_packages(), _kernels(), *_targets(), _cache()]


def _machine() -> Iterator[Finding]:
    yield Finding(what="python", good=True, state=platform.python_version())
    yield Finding(what="cpu", good=True, state=f"{cpu_name()}, {os.cpu_count()} cores")


def _packages() -> Iterator[Finding]:
    versions = package_versions()
    for name in ("torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "numpy"):
        found = versions.get(name)
        yield Finding(
            what=name,
            good=found is not None,
            state=found or "not installed",
            mend="" if found else f"pip install {name}",
        )


def _kernels() -> Finding:
    from edgevision import native

    missing = native.why_not()
    if missing is not None:
        return Finding(
            what="CPU kernels",
            good=False,
            state=f"{missing.reason}; everything works through the operators' bodies, slower",
            mend=missing.mend,
        )
    return Finding(what="CPU kernels", good=True, state=f"version {native.library_version()}, {native.simd()}")


def _targets() -> Iterator[Finding]:
    for entry in targets().values():
        missing = entry.create().why_not()
        if missing is None:
            yield Finding(what=f"target {entry.name}", good=True, state="ready")
        else:
            yield Finding(what=f"target {entry.name}", good=False, state=missing.reason, mend=missing.mend)


def _cache() -> Finding:
    cache = default_cache()
    if cache.root is None:
        return Finding(what="cache", good=True, state="off (EDGEVISION_CACHE=off)")
    used = f"{cache.bytes() / 2**20:.0f} of {cache.cap / 2**20:.0f} MiB"
    state = f"{cache.root}: {used} (EDGEVISION_CACHE=FOLDER moves it, EDGEVISION_CACHE=off stops it)"
    return Finding(what="cache", good=True, state=state)
