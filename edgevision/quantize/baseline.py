"""The committed file that `regress` compares with: per bundle, which images it got right, and how large and fast it was.

Because the answers are kept image by image (as hexadecimal bits), a later run is compared in pairs, and far smaller
changes are told from chance than by comparing two percentages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import DataError, OutputError

__all__ = ["Entry", "from_hex", "read_baseline", "to_hex", "write_baseline"]

VERSION = 1
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One bundle when the baseline was written.

    Attributes:
        key: `variant/target/precision/scheme`: a bundle is compared with the entry of its own key only.
        data: sha256 of the images.
        images: how many.
        top1: hexadecimal bits, one per image; empty where there are no classes.
        bytes: size of the artifact.
        speed: times the speed of the float bundle, None where there was none.
        psnr: dB, one per picture, for models that enlarge.
    """

    key: str
    data: str
    images: int
    top1: str
    bytes: int
    speed: float | None = None
    psnr: tuple[float, ...] | None = None


def to_hex(flags: Flags) -> str:
    """Bits as text."""
    return np.packbits(flags).tobytes().hex()


def from_hex(text: str, count: int) -> Flags:
    """Bits of `to_hex`."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=count).astype(np.bool_)


def read_baseline(path: Path) -> dict[str, Entry]:
    """Entries by key.

    Raises:
        DataError: the file is missing, damaged, or of another version.
    """
    mend = "write it with `edgevision regress … --update` and commit it"
    if not path.is_file():
        raise DataError(str(path), "there is no such baseline", mend)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["version"] != VERSION:
            raise DataError(str(path), f"its version is {document['version']!r}, this edgevision reads {VERSION}", mend)
        return {row["key"]: Entry(**row) for row in document["bundles"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(str(path), f"it is not a baseline ({error})", mend) from error


def write_baseline(path: Path, entries: Mapping[str, Entry]) -> None:
    """Write all `entries`, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    rows: list[dict[str, Any]] = [vars(entries[key]) for key in sorted(entries)]
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(json.dumps({"version": VERSION, "bundles": rows}, indent=2) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise OutputError(str(path), f"it cannot be written ({error})", "choose another --baseline") from error
