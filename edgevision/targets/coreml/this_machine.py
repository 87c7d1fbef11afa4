"""Where Core ML itself runs."""

from __future__ import annotations

import platform

__all__ = ["has_core_ml"]


def has_core_ml() -> bool:
    """Whether this machine is a Mac."""
    return platform.system() == "Darwin"
