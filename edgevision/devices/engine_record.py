"""What an engine that was built on a device belongs to.

An engine is machine code for one GPU and one TensorRT: loaded elsewhere it is refused at best, so the record is compared
before the engine is sent anywhere.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from edgevision.errors import DataError, DeviceError
from edgevision.hashing import file_sha256

__all__ = ["EngineRecord", "check_record", "read_record", "write_record"]

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class EngineRecord:
    """Where and of what an engine was built.

    Attributes:
        tensorrt: its version there.
        board, l4t, arch, gpu: as the device says of itself; None where it says nothing.
        graph: sha256 of the ONNX file it was built of.
        engine: sha256 of the engine.
    """

    tensorrt: str
    board: str | None
    l4t: str | None
    arch: str | None
    precision: str
    graph: str
    engine: str
    gpu: str | None = None
    schema_version: int = SCHEMA_VERSION


#: What must be equal on the device an engine is loaded on, and how a reader calls it.
_PLACE = {"tensorrt": "TensorRT", "board": "board", "l4t": "Jetson Linux", "arch": "processor", "gpu": "GPU"}


def write_record(path: Path, record: EngineRecord) -> None:
    """Write it as JSON."""
    from edgevision.whole_file import whole_file

    with whole_file(path) as staging:
        staging.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")


def read_record(path: Path) -> EngineRecord:
    """Read it again.

    Raises:
        DataError: it is damaged or of another schema.
    """
    mend = f"remove {path.parent}, then the engine is built again"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = EngineRecord(**document)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(str(path), f"it is no engine's record ({error})", mend) from error
    if found.schema_version != SCHEMA_VERSION:
        reason = f"its schema version is {found.schema_version}, this edgevision reads {SCHEMA_VERSION}"
        raise DataError(str(path), reason, mend)
    return found


def check_record(record: EngineRecord, here: EngineRecord, engine: Path, device: str) -> None:
    """Refuse an engine that does not belong on this device; `here` is what building it now would write.

    Raises:
        DataError: the engine's file was changed or is missing.
        DeviceError: it was built elsewhere, or of another graph; names each difference.
    """
    if not engine.is_file() or file_sha256(engine) != record.engine:
        raise DataError(str(engine), "it is not the engine its record tells of", f"remove {engine.parent}")
    names = {**_PLACE, "graph": "graph", "precision": "precision"}
    wrong = [
        f"{names[f.name]} {getattr(record, f.name) or 'unknown'} where the device has {getattr(here, f.name) or 'unknown'}"
        for f in fields(EngineRecord)
        if f.name in names and getattr(record, f.name) != getattr(here, f.name)
    ]
    if wrong:
        reason = f"the engine in {engine.parent} cannot be loaded there: it was built for {'; '.join(wrong)}"
        raise DeviceError(device, reason, f"remove {engine.parent}, then the engine is built on this device")
