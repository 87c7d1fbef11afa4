"""What torch says while it captures and exports, without what nobody asked for: notes, and dumps of whole graphs.

Where it cannot capture a model it prints the graph so far, twice, above the one line that matters; our error has that line.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["quiet_torch"]

_DUMP: Final = re.compile(r"\s*def forward\(self, ")
#: The exporter speaks of packages that are not there, the other of sizes whose line in the user's code it cannot find.
_LOGGERS: Final = ("torch.onnx", "torch.fx.experimental.symbolic_shapes")


@contextlib.contextmanager
def quiet_torch() -> Iterator[None]:
    """Errors are raised as ever, and stderr carries everything else."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    stream: Any = _WithoutDumps(sys.stderr)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(stream):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _WithoutDumps:
    """A text stream but for the texts it drops. Not a buffer: a progress bar that draws meanwhile stays alive."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if _DUMP.match(text) else int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
