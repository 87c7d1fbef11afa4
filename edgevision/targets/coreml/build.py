"""The steps of a Core ML build: convert, compress, save, check, prove."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision import __version__
from edgevision.targets.coreml.this_machine import has_core_ml
from edgevision.targets.target import Artifact, Proof

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevision.targets.coreml.image import Image
    from edgevision.targets.coreml.target import CoreML

__all__ = ["build"]


def build(target: CoreML, model: ir.Model, folder: Path) -> Artifact:
    """See `CoreML.build`."""
    from edgevision.targets.coreml.check import check_specification
    from edgevision.targets.coreml.compress import compress
    from edgevision.targets.coreml.package import PackageOptions, convert, save
    from edgevision.targets.coreml.prove import prove
    from edgevision.targets.coreml.shapes import convert_enumerated
    from edgevision.targets.coreml.target import PACKAGE

    image = target.normalization()
    options = PackageOptions(
        precision=target.precision,
        target=target.minimum_deployment_target,
        image=image,
        labels=target.labels,
        metadata=_metadata(target, model, image, folder),
    )
    package = convert_enumerated(model, options, target.also_sizes) if target.also_sizes else convert(model, options)
    path = save(compress(package, target.compress_weights), folder / PACKAGE)
    check_specification(path, target.minimum_deployment_target)
    exact = not target.compress_weights
    proofs = (prove(path, model, target.precision, image=image, exact=exact),) if target.prove else ()
    return Artifact(
        path=path,
        runnable=has_core_ml(),
        proofs=proofs,
        notes=_notes(target, proofs),
        tolerance=_tolerance(target, proofs),
    )


def _tolerance(target: CoreML, proofs: Sequence[Proof]) -> float | None:
    """Smaller weights are another network: what they move the output by is measured here, and twice that is allowed."""
    from edgevision.stages.verify import TOLERANCES

    if not target.compress_weights or not proofs:
        return None
    return max(TOLERANCES[target.precision], *(2 * proof.max_abs_over_std for proof in proofs))


def _metadata(target: CoreML, model: ir.Model, image: Image | None, folder: Path) -> Mapping[str, str]:
    """What the package says of its origin; the graph's hash is the manifest's `graph.sha256`."""
    from edgevision.hashing import file_sha256
    from edgevision.targets.coreml.features import stored_image
    from edgevision.targets.coreml.names import mil_name

    names = {value.name or "": mil_name(value.name or "") for value in (*model.graph.inputs, *model.graph.outputs)}
    graph = folder / "model.onnx"
    return {
        "edgevision.version": __version__,
        "edgevision.precision": target.precision,
        "edgevision.weights": target.compress_weights or "as trained",
        "edgevision.names": json.dumps(names),
        "edgevision.image": stored_image(image),
        "edgevision.graph_sha256": file_sha256(graph) if graph.is_file() else "",
    }


def _notes(target: CoreML, proofs: Sequence[Proof]) -> tuple[str, ...]:
    notes = []
    if not has_core_ml():
        notes.append("Core ML did not run here: the saved program was run by edgevision's reference evaluator.")
    if target.precision != "fp32":
        notes.append("Operations that overflow in fp16 stay in fp32 (docs/coreml.md lists them).")
    if target.compress_weights:
        moved = ", ".join(f"{proof.max_abs_over_std:.2f}" for proof in proofs) or "an unmeasured amount"
        notes.append(
            f"{target.compress_weights} weights move the output by {moved} of its std at the worst place: "
            "`edgevision regress` tells what that does to accuracy."
        )
    return tuple(notes)
