"""The steps of a Core ML build: convert, compress, save, check, prove."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision import __version__
from edgevision.targets.coreml.this_machine import has_core_ml
from edgevision.targets.target import Artifact

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevision.targets.coreml.target import CoreML

__all__ = ["build"]


def build(target: CoreML, model: ir.Model, folder: Path) -> Artifact:
    """See `CoreML.build`."""
    from edgevision.targets.coreml.check import check_specification
    from edgevision.targets.coreml.compress import compress
    from edgevision.targets.coreml.image import Image
    from edgevision.targets.coreml.package import PackageOptions, convert, save
    from edgevision.targets.coreml.prove import prove
    from edgevision.targets.coreml.shapes import convert_enumerated
    from edgevision.targets.coreml.target import PACKAGE

    target.check()
    image = Image(mean=target.mean, std=target.std) if target.image else None
    options = PackageOptions(
        precision=target.precision,
        target=target.minimum_deployment_target,
        image=image,
        labels=target.labels,
        metadata=_metadata(target, model, folder),
    )
    package = convert_enumerated(model, options, target.input_sizes) if target.input_sizes else convert(model, options)
    path = save(compress(package, target.weights, target.minimum_deployment_target), folder / PACKAGE)
    check_specification(path, target.minimum_deployment_target)
    exact = not target.weights
    proofs = (prove(path, model, target.precision, image=image, exact=exact),) if target.prove else ()
    return Artifact(path=path, runnable=has_core_ml(), proofs=proofs, notes=_notes(target))


def _metadata(target: CoreML, model: ir.Model, folder: Path) -> Mapping[str, str]:
    """What the package says of its origin; the graph's hash is the manifest's `graph.sha256`."""
    from edgevision.hashing import file_sha256
    from edgevision.targets.coreml.names import mil_name

    names = {value.name or "": mil_name(value.name or "") for value in (*model.graph.inputs, *model.graph.outputs)}
    graph = folder / "model.onnx"
    return {
        "edgevision.version": __version__,
        "edgevision.precision": target.precision,
        "edgevision.weights": target.weights or "as trained",
        "edgevision.names": json.dumps(names),
        "edgevision.graph_sha256": file_sha256(graph) if graph.is_file() else "",
    }


def _notes(target: CoreML) -> tuple[str, ...]:
    notes = []
    if not has_core_ml():
        notes.append("Core ML did not run here: the saved program was run by edgevision's reference evaluator.")
    if target.precision == "fp16":
        notes.append("Operations that overflow in fp16 stay in fp32 (docs/coreml.md lists them).")
    return tuple(notes)
