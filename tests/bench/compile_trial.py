"""torch.compile in a process of its own: compiling a loop of hundreds of steps may take minutes, and may be given up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["CACHE", "try_to_compile"]

CACHE = {"TORCHINDUCTOR_CACHE_DIR": str(Path(__file__).parents[2] / "build" / "bench" / "inductor")}


def try_to_compile(name: str, seconds: float) -> str | None:
    """Compile one network, leaving the result in inductor's cache. None when that went well, else why not."""
    command = [sys.executable, str(Path(__file__)), name]
    try:
        done = subprocess.run(
            command, env={**os.environ, **CACHE}, timeout=seconds, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        return f"its compilation of the unrolled scan was given up after {seconds:.0f} s"
    if done.returncode == 0:
        return None
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return f"its compilation failed: {lines[-1] if lines else 'no message'}"


def _compile(name: str) -> None:
    import torch
    from plain import plain_model
    from prepare import eager_model

    from edgevision.registry import find_variant

    torch.set_num_threads(1)
    with torch.no_grad():
        torch.compile(plain_model(eager_model(name)))(torch.zeros(find_variant(name).input_shape))


if __name__ == "__main__":
    _compile(sys.argv[1])
