"""edgevision: vision models re-parameterized, quantized, proven equal and measured on the device they will run on.

Importing this package loads neither torch, onnx nor numpy; each public name brings in what it needs on first use.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgevision.api import create_model, export, load

__all__ = ["__version__", "create_model", "export", "load"]
__version__ = "0.1.0"

# In a checkout, `models/` and `calibration/` lie beside this package and are installed inside it; this lets a bare
# checkout import `edgevision.models` exactly as an installed wheel does.
_ROOT = Path(__file__).resolve().parent.parent
if (_ROOT / "pyproject.toml").is_file() and (_ROOT / "models").is_dir():
    __path__.append(str(_ROOT))

_HOME = {"create_model": "edgevision.api", "export": "edgevision.api", "load": "edgevision.api"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'edgevision' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
