"""Which TensorRT this Python has, as one JSON line: `python -m edgevision.targets.tensorrt.installed`.

Asked on a device, before anything else is sent there.
"""

from __future__ import annotations

import json
import platform
import sys
from importlib.util import find_spec

from edgevision.targets.tensorrt.flavor import FLAVORS, import_flavor

__all__ = ["installed"]


def installed() -> dict[str, str | None]:
    """Flavor and version, TensorRT before TensorRT for RTX; `lacks` names what is missing.

    Raises:
        TargetError: it is there and does not load.
    """
    python = platform.python_version()
    there = [FLAVORS[name] for name in ("enterprise", "rtx") if FLAVORS[name].installed()]
    if not there or find_spec("numpy") is None:
        return {"python": python, "flavor": None, "version": None, "lacks": "numpy" if there else "TensorRT's package"}
    version = there[0].version() or str(import_flavor(there[0]).__version__)
    return {"python": python, "flavor": there[0].name, "version": version, "lacks": None}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(installed()) + "\n")
