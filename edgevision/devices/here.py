"""`local`: this machine as a device like the others, reached by its own shell.

`edgevision profile` without `--device` measures in its own process, every target and with a picture's whole way;
an entry of devices.toml with `address = "local"` measures by the C++ runner instead, as an ssh device does.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LOCAL", "LocalTransport"]

LOCAL = "local"


@dataclass(frozen=True, kw_only=True)
class LocalTransport:
    """The shell of this machine."""

    base: str = ""

    def command(self, script: str) -> list[str]:
        """`sh` with a script."""
        return ["sh", "-c", script]

    def explain(self, errors: str) -> tuple[str, str]:
        """What the shell said last."""
        said = errors.strip().splitlines()
        return (said[-1] if said else "its shell ended"), "see whether `sh` works"
