"""Which line fixes the open batch: `torch.export` says at its end that something did, and not what.

It logs the moment, though, and the record is made while the line runs: the stack of that call holds it. Should torch one
day log it otherwise, an error loses the line and nothing else.
"""

from __future__ import annotations

import logging
import traceback
from typing import Self

from edgevision.stages.users_code import innermost_of_user

__all__ = ["FixedSize"]

_LOGGER = logging.getLogger("torch.fx.experimental.symbolic_shapes")


class FixedSize(logging.Filter):
    """While it is open, notes the first size that the program makes a number of.

    Attributes:
        value: the number; None as long as nothing was fixed.
        line: `, at file.py:12 (the line)` where the user's code did it; empty where it was not the user's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.value: int | None = None
        self.line = ""

    def __enter__(self) -> Self:
        self._level, self._outside = _LOGGER.level, len(traceback.extract_stack())
        self._shown = _LOGGER.getEffectiveLevel()
        _LOGGER.addFilter(self)
        _LOGGER.setLevel(min(logging.INFO, self._shown))
        return self

    def __exit__(self, *_: object) -> None:
        _LOGGER.setLevel(self._level)
        _LOGGER.removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Look at the record; let through what would have been logged without us."""
        if self.value is None and record.msg.startswith("set_replacement") and isinstance(record.args, tuple):
            symbol, value = map(str, record.args[:2])
            if symbol.startswith("s") and value.isdecimal():  # u0 and so on are sizes that depend on values
                self.value = int(value)
                self.line = innermost_of_user(traceback.extract_stack()[self._outside :])
        return record.levelno >= self._shown
