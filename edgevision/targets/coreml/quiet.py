"""What coremltools does to the process around it, kept away from it.

It draws progress bars and warns about versions, and neither helps a user of ours. And it ends every conversion with a
full garbage collection, which walks all that torch and others hold in memory: longer than most conversions take.
"""

from __future__ import annotations

import contextlib
import gc
import io
import logging
from collections.abc import Iterator

__all__ = ["quiet", "with_little_to_collect"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Imports and calls of coremltools without their chatter; exceptions pass."""
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def with_little_to_collect() -> Iterator[None]:
    """Inside, garbage collections see only what is made inside."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
