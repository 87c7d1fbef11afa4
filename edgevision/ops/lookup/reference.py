"""The lookup as numpy indexes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgevision.ops.operator import Array, AttributeValue

__all__ = ["example", "reference"]


def reference(inputs: Sequence[Array | None], attributes: Mapping[str, AttributeValue]) -> list[Array]:  # noqa: ARG001
    """The table's entry of every value; a negative one counts from the end."""
    x, table = (np.asarray(t) for t in inputs[:2])
    return [table[x.astype(np.int64)]]


def example(rng: np.random.Generator) -> tuple[list[Array], dict[str, AttributeValue]]:
    """Two maps of five channels, six by four pixels, and a random table."""
    return [rng.integers(0, 256, size).astype(np.uint8) for size in ((2, 5, 6, 4), (256,))], {}
