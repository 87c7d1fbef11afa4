"""The files that are measured: our bundles with and without kernels, plain exports, training forms. Kept in build/bench."""

from __future__ import annotations

import hashlib
import inspect
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
from edgevision.manifest import read_manifest
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
        bodies: the bundle that does without kernels; None where the network itself has no operator of ours.
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
    model = eager_model(name)
    plain = folder / f"plain-{_written_by(model)[:12]}.onnx"
    record, key = folder / "prepared.json", stage_key("bench", {"name": name, "plain": plain.name})
    if record.exists():
        kept = json.loads(record.read_text("utf-8"))
        if kept["key"] == key:
            return Prepared.from_json(kept["files"])
        record.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    made = _make(name, model, plain)
    record.write_text(json.dumps({"key": key, "files": made.to_json()}), encoding="utf-8")
    return made


def _make(name: str, model: nn.Module, plain: Path) -> Prepared:
    entry, folder = find_variant(name), plain.parent
    weights = folder / "deploy.pth"
    torch.save(model.state_dict(), weights)
    kernels = ev.export(name, target="ort", out=folder / "kernels", weights=weights)
    portable = read_manifest(kernels / "manifest.json").graph.custom_ops
    bodies = ev.export(name, target="ort", out=folder / "bodies", weights=weights, plugins=False) if portable else None
    seconds = None if plain.exists() else _export(model, plain, entry.input_shape)
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


def _export(model: nn.Module, path: Path, shape: tuple[int, ...]) -> float:
    """Write the plain export; returns the seconds it took."""
    start = time.perf_counter()
    with torch.no_grad():
        program = torch.onnx.export(plain_model(model), (torch.zeros(shape),), dynamo=True, verbose=False)
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    seconds = time.perf_counter() - start
    partial = path.with_suffix(".partial")
    program.save(partial, external_data=False)
    partial.replace(path)
    return seconds


def _written_by(model: nn.Module) -> str:
    """Hash of the files that the network's modules are written in: a plain export takes minutes."""
    classes = {type(module) for module in model.modules()}
    files = {Path(__file__).with_name("plain.py"), *(Path(inspect.getfile(c)) for c in classes)}
    sources = (path.read_bytes() for path in sorted(files) if "torch" not in path.parts)
    return hashlib.sha256(b"".join(sources) + torch.__version__.encode()).hexdigest()
