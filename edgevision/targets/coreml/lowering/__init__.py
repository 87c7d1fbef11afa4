"""ONNX to MIL: one small file a group of operators, entered in one table.

Importing this package fills the table; nothing else registers a lowering.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
