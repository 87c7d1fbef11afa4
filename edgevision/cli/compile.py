"""`edgevision compile`: an ONNX file to a target's artifact, as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevision.cli.coreml_options import (
    AlsoSizes,
    ClassNames,
    CompressWeights,
    DeploymentTarget,
    ImageInput,
    coreml_options,
)
from edgevision.cli.options import (
    BatchText,
    ComputeCapability,
    Flavor,
    Json,
    NoPlugins,
    Out,
    PrecisionText,
    SizeText,
    TargetText,
    given,
    parse_precision,
)

__all__ = ["register"]


def compile_file(
    file: Annotated[Path, typer.Argument(metavar="FILE.onnx", help="An ONNX graph from anywhere")],
    target: TargetText,
    precision: PrecisionText = None,
    input_size: SizeText = None,
    batch: BatchText = "1",
    no_plugins: NoPlugins = False,
    flavor: Flavor = None,
    compute_capability: ComputeCapability = None,
    minimum_deployment_target: DeploymentTarget = None,
    image_input: ImageInput = None,
    labels: ClassNames = None,
    compress_weights: CompressWeights = None,
    also_sizes: AlsoSizes = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Compile an ONNX file for a target as it is.

    Nothing in it is merged; the artifact is held against the file.
    """
    from edgevision.cli.console import print_json, progress, warn
    from edgevision.cli.show import show_export
    from edgevision.errors import UsageError
    from edgevision.manifest import as_json
    from edgevision.pipeline import ExportOptions, export_bundle
    from edgevision.spec import Batch, parse_input_size

    if file.suffix != ".onnx":
        raise UsageError(str(file), "compile takes an ONNX file", "for a model use `edgevision export`")
    options = ExportOptions(
        model=str(file),
        target=target,
        precision=parse_precision(precision),
        input_size=None if input_size is None else parse_input_size(input_size),
        batch=Batch.parse(batch),
        plugins=not no_plugins,
        target_options={
            **given(flavor=flavor, compute_capability=compute_capability),
            **coreml_options(minimum_deployment_target, image_input, labels, compress_weights, also_sizes),
        },
        merge=False,
        out=out,
    )
    with progress("compile") as report:
        done = export_bundle(options, report=report)
    warn(done.manifest.warnings)
    if json:
        print_json({"bundle": str(done.path), "manifest": as_json(done.manifest)})
    else:
        show_export(done)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compile")(compile_file)
