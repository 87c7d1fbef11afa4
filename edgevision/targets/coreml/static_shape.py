"""Shapes of graph values, which an ML program needs whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision.errors import GraphError

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["static_dims"]


def static_dims(value: ir.Value) -> list[int]:
    """The dims of a graph input.

    Raises:
        GraphError: one is unknown.
    """
    dims = [] if value.shape is None else [dim for dim in value.shape.dims if isinstance(dim, int)]
    if value.shape is None or len(dims) < len(value.shape):
        raise GraphError(
            f"input {value.name!r}",
            f"its shape {value.shape} is dynamic, and ML programs here are static",
            "export with a fixed batch and input size (several sizes: enumerated shapes)",
        )
    return dims
