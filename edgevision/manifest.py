"""The manifest: what an export did, step by step, and what it proved. `manifest.json`, schema version 1.

Keys may be added in later versions, never renamed. Sizes are bytes, times seconds, errors `max_abs_over_std`
(see `edgevision.proof`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgevision.errors import DataError

__all__ = ["SCHEMA_VERSION", "GraphInfo", "Manifest", "ModelInfo", "Parity", "Record", "as_json", "read_manifest"]

SCHEMA_VERSION = 1
Status = Literal["verified", "built, not run", "failed"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one stage did.

    Attributes:
        name: the stage.
        seconds: wall time, the stage's proof included.
        proof_seconds: how much of that the proof took.
        inputs, outputs: sha256 of what went in and came out.
        max_abs_over_std, relative_l2_error: the error this stage introduced; None where a stage changes no numbers.
        notes: sentences for a reader: what was cached, merged, declined.
    """

    name: str
    seconds: float
    proof_seconds: float = 0.0
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    max_abs_over_std: float | None = None
    relative_l2_error: float | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """The model that went in. `weights` has `source`, `key` and `sha256`."""

    name: str
    variant: str
    params: int
    input_shape: Sequence[int | str]
    weights: Mapping[str, str | None]
    preprocess: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class GraphInfo:
    """The portable graph. `nodes` is counted after inlining every body; `custom_ops` maps op type to count."""

    path: str
    sha256: str
    nodes: int
    opset: int
    custom_ops: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How the artifact compares with the model it was made of, on the runtime it was made for.

    `tolerance` is the largest allowed; `tolerances` has one for each output where they differ.
    """

    status: Status
    reference: str
    samples: int
    max_abs_over_std: float | None
    relative_l2_error: float | None
    tolerance: float
    tolerances: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything a bundle says about itself.

    Attributes:
        inputs, outputs: name, shape (None is dynamic) and dtype of each tensor.
        files: sha256 of every file in the bundle but this one and the README.
        proofs: what was proven of an artifact besides (or instead of) its parity.
        reparam: `applied` and `declined` rows of the merge.
        warnings: what the user was told on the screen.
    """

    model: ModelInfo
    target: Mapping[str, Any]
    graph: GraphInfo
    artifact: Mapping[str, Any]
    stages: Sequence[Record]
    parity: Parity
    inputs: Sequence[Mapping[str, Any]] = ()
    outputs: Sequence[Mapping[str, Any]] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    proofs: Sequence[Mapping[str, Any]] = ()
    calibration: Mapping[str, Any] | None = None
    quantization: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    reparam: Mapping[str, Any] | None = None
    warnings: Sequence[str] = ()
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """The document as it is written to `manifest.json`."""
        return json.dumps(as_json(self), indent=2) + "\n"


def as_json(value: Any) -> Any:
    """A frozen dataclass (or anything made of them) as plain JSON types; infinities become None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): as_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(v) for v in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return str(value) if isinstance(value, Path) else value


def read_manifest(path: Path) -> Manifest:
    """Parse a `manifest.json`.

    Raises:
        DataError: it is not JSON, lacks a key, or is of a newer schema.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(str(path), f"the manifest cannot be read ({error})", "export the bundle again") from error
    if not isinstance(raw, dict) or raw.get("schema_version") != SCHEMA_VERSION:
        found = raw.get("schema_version") if isinstance(raw, dict) else None
        raise DataError(
            str(path), f"its schema version is {found!r}, this edgevision reads {SCHEMA_VERSION}", "upgrade edgevision"
        )
    known = {f.name for f in dataclasses.fields(Manifest)}
    try:
        return Manifest(
            **{k: v for k, v in raw.items() if k in known - {"model", "graph", "stages", "parity"}},
            model=ModelInfo(**raw["model"]),
            graph=GraphInfo(**raw["graph"]),
            stages=tuple(Record(**r) for r in raw["stages"]),
            parity=Parity(**raw["parity"]),
        )
    except (KeyError, TypeError) as error:
        raise DataError(str(path), f"the manifest is incomplete ({error})", "export the bundle again") from error
