"""Keeps general passes out of the bodies of our own operators.

A body is measured as it was written. And an Identity inside a Scan is no identity to ONNX Runtime: without it a state
and an output share one buffer, and the numbers are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import onnx_ir as ir

from edgevision.ops.operator import DOMAIN

__all__ = ["bodies_set_aside"]


@contextmanager
def bodies_set_aside(model: ir.Model) -> Iterator[None]:
    """Take the bodies out of `model` and put them back afterwards."""
    bodies = {key: model.functions.pop(key) for key in list(model.functions) if key[0] == DOMAIN}
    try:
        yield
    finally:
        model.functions.update(bodies)
