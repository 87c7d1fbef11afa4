"""The files that are measured: our bundles with and without kernels, plain exports, training forms. Kept in build/bench."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch
from plain import plain_model
from torch import nn

import edgevision as ev
from edgevision.cache import stage_key
from edgevision.random_weights import randomise_
from edgevision.registry import find_variant

__all__ = ["FOLDER", "Prepared", "eager_model", "prepare"]

FOLDER = Path(__file__).parents[2] / "build" / "bench"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Files of one model, all with the same weights, in deploy form.

    Attributes:
        shape: of the input, batch 1.
        macs: multiply-accumulates of one image.
        bodies: the bundle that does without kernels; None where the network has no operator of ours.
        export_seconds: what the plain export took when it was made.
    """

    name: str
    shape: tuple[int, ...]
    macs: int | None
    kernels: Path
    bodies: Path | None
    plain: Path
    export_seconds: float | None

    def to_json(self) -> dict[str, Any]:
        return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, read: dict[str, Any]) -> Self:
        paths = {key: Path(read[key]) for key in ("kernels", "plain")}
        bodies = Path(read["bodies"]) if read["bodies"] else None
        return cls(**{**read, **paths, "bodies": bodies, "shape": tuple(read["shape"])})


def prepare(name: str) -> Prepared:
    """Make what is missing or out of date."""
    folder = FOLDER / name
    record, key = folder / "prepared.json", stage_key("bench", {"name": name, "plain": _plain_digest()})
    if record.exists():
        kept = json.loads(record.read_text("utf-8"))
        if kept["key"] == key:
            return Prepared.from_json(kept["files"])
    record.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    made = _make(name, folder)
    record.write_text(json.dumps({"key": key, "files": made.to_json()}), encoding="utf-8")
    return made


def _make(name: str, folder: Path) -> Prepared:
    entry = find_variant(name)
    model = eager_model(name)
    weights = folder / "deploy.pth"
    torch.save(model.state_dict(), weights)
    kernels = ev.export(name, target="ort", out=folder / "kernels", weights=weights)
    own = ev.bundle.open_bundle(kernels).artifact["library"] is not None
    bodies = ev.export(name, target="ort", out=folder / "bodies", weights=weights, plugins=False) if own else None
    plain, seconds = _plain(model, folder, entry.input_shape)
    return Prepared(
        name=name,
        shape=entry.input_shape,
        macs=entry.macs,
        kernels=kernels,
        bodies=bodies,
        plain=plain,
        export_seconds=seconds,
    )


def eager_model(name: str) -> nn.Module:
    """The network in deploy form, the strongest the peers can be given, with weights under which all of it matters."""
    torch.manual_seed(0)
    model = ev.create_model(name, deploy=True).eval()
    randomise_(model)
    return model


def _plain(model: nn.Module, folder: Path, shape: tuple[int, ...]) -> tuple[Path, float | None]:
    path = folder / f"plain-{_plain_digest()[:12]}.onnx"
    if path.exists():
        return path, None
    start = time.perf_counter()
    with torch.no_grad():
        program = torch.onnx.export(plain_model(model), (torch.zeros(shape),), dynamo=True, verbose=False)
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    seconds = time.perf_counter() - start
    partial = path.with_suffix(".partial")
    program.save(partial, external_data=False)
    partial.replace(path)
    return path, seconds


def _plain_digest() -> str:
    sources = [Path(__file__).with_name("plain.py"), *sorted(Path(__file__).parents[2].glob("models/*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources) + torch.__version__.encode()).hexdigest()
