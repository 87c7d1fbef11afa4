"""A reference evaluator for ML programs: what a saved package computes, without a Mac.

It reads the bytes of the package and runs them by the documented meaning of each operation, so that parity on Linux
says something about the file that ships. It does not model any one chip: fp16 values are stored in fp16, sums of
products accumulate in fp32. Importing this package fills the table of operations.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

from edgevision.targets.coreml.evaluator.run import Evaluator  # noqa: E402

__all__ = ["Evaluator"]
