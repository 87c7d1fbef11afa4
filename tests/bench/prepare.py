"""The files that are measured: our bundles with and without kernels, and the plain export. Kept in build/bench."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from plain import plain_model
from torch import nn

import edgevision as ev
from edgevision.random_weights import randomise_
from edgevision.registry import find_variant

__all__ = ["Prepared", "eager_model", "prepare"]

FOLDER = Path(__file__).parents[2] / "build" / "bench"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Files of one model, all with the same weights, in deploy form.

    Attributes:
        shape: of the input, batch 1.
        macs: multiply-accumulates of one image.
        export_seconds: what the plain export took when it was made.
    """

    name: str
    shape: tuple[int, int, int, int]
    macs: int | None
    kernels: Path
    bodies: Path
    plain: Path
    export_seconds: float | None


def prepare(name: str) -> Prepared:
    """Make what is missing or out of date."""
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    entry = find_variant(name)
    model = eager_model(name)
    weights = folder / "deploy.pth"
    torch.save(model.state_dict(), weights)
    bundles = {}
    for form, plugins in (("kernels", True), ("bodies", False)):
        bundles[form] = ev.export(name, target="ort", out=folder / form, weights=weights, plugins=plugins)
    plain, seconds = _plain(model, folder, entry.input_shape)
    return Prepared(
        name=name,
        shape=entry.input_shape,
        macs=entry.macs,
        kernels=bundles["kernels"],
        bodies=bundles["bodies"],
        plain=plain,
        export_seconds=seconds,
    )


def eager_model(name: str) -> nn.Module:
    """The network in deploy form, the strongest the peers can be given, with weights under which all of it matters."""
    torch.manual_seed(0)
    model = ev.create_model(name, deploy=True).eval()
    randomise_(model)
    return model


def _plain(model: nn.Module, folder: Path, shape: tuple[int, int, int, int]) -> tuple[Path, float | None]:
    sources = [Path(__file__).with_name("plain.py"), *sorted(Path(__file__).parents[2].glob("models/*.py"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources) + torch.__version__.encode()).hexdigest()
    path = folder / f"plain-{digest[:12]}.onnx"
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
