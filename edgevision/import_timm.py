"""timm, also beside a torchvision whose compiled operators do not fit this torch.

timm imports torchvision for its image transforms, and torchvision cannot be imported where its library was built for
another torch (pip's own beside a torch for the CPU alone, say): at the first of its operators that it looks up it raises
"operator torchvision::nms does not exist". No network of timm calls these operators. They are therefore declared, with
their schemas and without an implementation, and whoever uses timm through us is told so; a call of one of them still
fails, and says which.
"""

from __future__ import annotations

import sys
from functools import cache
from types import ModuleType
from typing import Any

from edgevision.errors import ModelError

__all__ = ["import_timm", "torchvision_note"]

_UNFIT = "operator torchvision::"
_SCHEMAS = dict.fromkeys(("nms", "qnms"), "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
#: The declarations live as long as this object.
_declared: list[Any] = []


@cache
def import_timm() -> ModuleType:
    """The package.

    Raises:
        ModelError: it, or something it needs, is not installed or cannot be imported.
    """
    try:
        package: ModuleType = _import()
    except ModuleNotFoundError as error:
        reason = f"the package {error.name} is not installed"
        raise ModelError("timm", reason, "pip install 'edgevision[timm]'") from error
    except (ImportError, RuntimeError, OSError) as error:
        mend = "pip install --upgrade 'edgevision[timm]', with the torchvision that was built for your torch"
        raise ModelError("timm", f"it cannot be imported ({error})", mend) from error
    return package


def torchvision_note() -> str | None:
    """What the user must be told once timm has been imported; None where torchvision is whole."""
    if not _declared:
        return None
    from importlib.metadata import version

    return (
        f"torchvision {version('torchvision')} was not built for torch {version('torch')}: its own operators (nms, …) "
        "are missing here; no network of timm calls them. To have them, install the torchvision that goes with that torch"
    )


def _import() -> Any:
    try:
        import timm
    except RuntimeError as error:
        if not str(error).startswith(_UNFIT):
            raise
        _declare_operators()
        import timm
    return timm


def _declare_operators() -> None:
    """Give torchvision the schemas it looks up on import, and forget what it had half imported."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name, schema in _SCHEMAS.items():
        library.define(f"{name}{schema}")  # type: ignore[no-untyped-call]
    _declared.append(library)
    for name in [n for n in sys.modules if n.partition(".")[0] in ("timm", "torchvision")]:
        del sys.modules[name]
