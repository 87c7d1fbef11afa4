"""Names of features: what Core ML allows."""

from __future__ import annotations

import re

__all__ = ["mil_name"]


def mil_name(name: str) -> str:
    """`name` with the characters Core ML allows in a feature's name: letters, digits, underscores, no digit first."""
    clean = re.sub(r"\W", "_", name, flags=re.ASCII) or "value"
    return f"_{clean}" if clean[0].isdigit() else clean
