"""Names of features, which Core ML restricts, and of operations, which say what node they come from."""

from __future__ import annotations

import re

__all__ = ["mil_name", "node_of"]


def mil_name(name: str) -> str:
    """`name` with the characters Core ML allows in a feature's name: letters, digits, underscores, no digit first."""
    clean = re.sub(r"\W", "_", name, flags=re.ASCII) or "value"
    return f"_{clean}" if clean[0].isdigit() else clean


def node_of(operation: str) -> str:
    """The node, by its `mil_name`, whose lowering called an operation so; empty for one of coremltools' own."""
    found = re.match(r"(.+)__\d+", operation)
    return found[1] if found else ""
