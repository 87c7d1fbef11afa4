"""Errors out of the user's own code: what was raised, and the line of theirs that it came from."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable
from pathlib import Path

__all__ = ["innermost_of_user", "line_of_user", "raised_by_user"]

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in [^\n]*\n\s*(?P<code>[^\n]*)')

_OURS = str(Path(__file__).resolve().parents[1])


def raised_by_user(error: Exception) -> str:
    """`ValueError: the reason, at file.py:12 (the line)`, with the innermost line that is neither ours nor a library's."""
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    said = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    return said + innermost_of_user(traceback.extract_tb(error.__traceback__))


def innermost_of_user(stack: Iterable[traceback.FrameSummary]) -> str:
    """`, at file.py:12 (the line)` of the last of these frames that is the user's; empty without one."""
    frames = [f for f in stack if _of_user(f.filename)]
    return f", at {Path(frames[-1].filename).name}:{frames[-1].lineno} `{frames[-1].line}`" if frames else ""


def line_of_user(stack: str) -> str:
    """`, at file.py:12 (the line)` of the innermost frame of a printed stack that is the user's; empty without one."""
    frames = [f for f in _FRAME.finditer(stack) if _of_user(f["file"])]
    if not frames:
        return ""
    return f", at {Path(frames[-1]['file']).name}:{frames[-1]['line']} `{frames[-1]['code'].strip()}`"


def _of_user(filename: str) -> bool:
    library = "site-packages" in filename or "/lib/python" in filename or filename.startswith("<")
    return not library and not filename.startswith(_OURS)
