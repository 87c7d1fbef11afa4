"""The files a report is made of: profiles, manifests and regressions, told apart by what is in them and checked before use.

A report must not show half a measurement as a whole one, so a file that is cut short, or that a later edgevision
wrote, is refused by name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from edgevision.errors import DataError

__all__ = ["SCHEMA_VERSION", "Source", "read_source", "read_sources"]

#: Of the profile document; the manifest's own is the same number today and is checked by its reader.
SCHEMA_VERSION = 1
_LATENCY = ("p50", "p90", "p99", "cv", "interval", "samples")
#: What a regression says of models that classify, and of those that enlarge.
_SCORES = (("top1", "top5", "agreement"), ("psnr_db", "ssim"))
_PROFILE = ("bundle", "device", "latency_ms", "verdict", "reasons")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file's document.

    Attributes:
        name: the file, as the user named it.
        kind: what the document is.
        document: its JSON.
    """

    name: str
    kind: Literal["profile", "manifest", "regress"]
    document: Mapping[str, Any]


def read_sources(paths: Sequence[Path]) -> tuple[Source, ...]:
    """All files in the order given.

    Raises:
        DataError: no file at all, or one that cannot be part of a report.
    """
    if not paths:
        raise DataError("report", "there is nothing to report", "name profile JSON files, manifests or bundles")
    return tuple(read_source(path) for path in paths)


def read_source(path: Path) -> Source:
    """One profile, manifest, bundle (whose manifest is taken) or document of `regress --json`.

    Raises:
        DataError: not JSON, cut short, of a newer schema, or neither a profile nor a manifest.
    """
    file = path / "manifest.json" if path.is_dir() else path
    document = _load(file)
    if {"checks", "scores", "images"} <= document.keys():
        _check_regress(file, document)
        return Source(name=str(path), kind="regress", document=document)
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        later = isinstance(version, int) and version > SCHEMA_VERSION
        mend = "upgrade edgevision" if later else "name a file written by `edgevision profile` or `edgevision export`"
        raise DataError(str(file), f"its schema version is {version!r}, this edgevision reads {SCHEMA_VERSION}", mend)
    if "latency_ms" in document:
        _check_profile(file, document)
        return Source(name=str(path), kind="profile", document=document)
    if "stages" in document and "graph" in document:
        from edgevision.manifest import read_manifest

        read_manifest(file)
        return Source(name=str(path), kind="manifest", document=document)
    raise DataError(
        str(file), "it is neither a profile, a manifest nor a regression", "name files of `profile --out` or bundles"
    )


def _load(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        document = json.loads(text, parse_constant=_refuse_constant)
    except OSError as error:
        raise DataError(str(file), f"it cannot be read ({error.strerror})", "check the path") from error
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError too
        reason = "it is empty" if file.stat().st_size == 0 else f"it is not whole JSON ({error}); was it cut short?"
        raise DataError(str(file), reason, "make it again with `edgevision profile --out`") from error
    if not isinstance(document, dict):
        raise DataError(str(file), "its JSON is not an object", "name files of `profile --out` or bundles")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _check_profile(file: Path, document: Mapping[str, Any]) -> None:
    latency = document["latency_ms"]
    missing = [key for key in _PROFILE if key not in document]
    missing += [f"latency_ms.{key}" for key in _LATENCY if not isinstance(latency, dict) or key not in latency]
    if missing:
        raise DataError(str(file), f"the profile lacks {', '.join(missing)}", "measure again with `edgevision profile`")
    if not all(isinstance(document[key], dict) for key in ("bundle", "device")) or not _numbers(latency["interval"], 2):
        raise DataError(str(file), "its bundle, device or interval is not of the profile's form", "measure again")
    if not all(_numbers([latency[key]], 1) for key in ("p50", "p90", "p99", "cv")):
        raise DataError(str(file), "its percentiles are not numbers", "measure again")
    samples = latency["samples"]
    if not isinstance(samples, list) or not samples:
        raise DataError(str(file), "the profile holds no samples", "measure again with `edgevision profile`")
    if not all(isinstance(s, (int, float)) and math.isfinite(s) and s > 0 for s in samples):
        raise DataError(str(file), "its samples are not all positive numbers", "measure again")


def _check_regress(file: Path, document: Mapping[str, Any]) -> None:
    checks, scores, bicubic = document["checks"], document["scores"], document.get("bicubic")
    whole = isinstance(checks, list) and all(
        isinstance(c, dict) and {"bundle", "against", "what", "verdict", "said"} <= c.keys() for c in checks
    )
    whole &= isinstance(scores, dict) and all(
        isinstance(s, dict) and any(_numbers([s.get(k) for k in kind], len(kind)) for kind in _SCORES) and _decibel(s)
        for s in scores.values()
    )
    whole &= (
        isinstance(bicubic, dict) and _numbers([bicubic.get(k) for k in ("psnr_db", "ssim")], 2)
    ) or bicubic is None
    if not whole or not isinstance(document["images"], int):
        raise DataError(str(file), "it is not of the form of `regress --json`", "run `edgevision regress` again")


def _decibel(score: Mapping[str, Any]) -> bool:
    """Whether it has a signal to noise; None is that of a bundle without any noise."""
    return "snr_db" in score and (score["snr_db"] is None or _numbers([score["snr_db"]], 1))


def _numbers(values: object, count: int) -> bool:
    return isinstance(values, list) and len(values) == count and all(isinstance(v, (int, float)) for v in values)
