"""`edgevision export`: a model to a verified bundle."""

from __future__ import annotations

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
    AdaRound,
    BatchText,
    BiasCorrection,
    Calibrator,
    ComputeCapability,
    DataText,
    Equalize,
    Exclude,
    Flavor,
    Images,
    Json,
    MaxDrop,
    MigrateScales,
    ModelArgs,
    NoPlugins,
    Out,
    PerTensor,
    PrecisionText,
    SchemeText,
    SizeText,
    SsmAware,
    TargetText,
    WeightsFile,
    WeightsKey,
    given,
    parse_model_args,
    parse_precision,
    quantize_options,
    recovery_switches,
)

__all__ = ["register"]


def export(
    model: Annotated[str, typer.Option("--model", help="Zoo name, timm:NAME, package.module:factory, file.onnx")],
    target: TargetText,
    weights: WeightsFile = None,
    weights_key: WeightsKey = None,
    model_arg: ModelArgs = None,
    precision: PrecisionText = None,
    input_size: SizeText = None,
    batch: BatchText = "1",
    data: DataText = None,
    scheme: SchemeText = None,
    calibrator: Calibrator = "auto",
    images: Images = 200,
    exclude: Exclude = None,
    per_tensor: PerTensor = False,
    max_drop: MaxDrop = None,
    equalize: Equalize = None,
    migrate_scales: MigrateScales = None,
    bias_correction: BiasCorrection = None,
    adaround: AdaRound = None,
    ssm_aware: SsmAware = None,
    no_plugins: NoPlugins = False,
    flavor: Flavor = None,
    compute_capability: ComputeCapability = None,
    minimum_deployment_target: DeploymentTarget = None,
    image_input: ImageInput = None,
    labels: ClassNames = None,
    compress_weights: CompressWeights = None,
    also_sizes: AlsoSizes = None,
    seed: Annotated[int, typer.Option("--seed", help="Of random weights and of the inputs of the proof")] = 0,
    out: Out = None,
    json: Json = False,
) -> None:
    """Turn a model into a verified artifact for a target.

    Captured, merged, compiled, proven equal at every stage, and written as a bundle.
    """
    from edgevision.cli.console import print_json, progress, warn
    from edgevision.cli.show import show_export
    from edgevision.manifest import as_json
    from edgevision.pipeline import ExportOptions, export_bundle
    from edgevision.spec import Batch, parse_input_size

    recovery = recovery_switches(equalize, migrate_scales, bias_correction, adaround, ssm_aware)
    options = ExportOptions(
        model=model,
        target=target,
        weights=weights,
        weights_key=weights_key,
        model_args=parse_model_args(model_arg),
        precision=parse_precision(precision),
        input_size=None if input_size is None else parse_input_size(input_size),
        batch=Batch.parse(batch),
        plugins=not no_plugins,
        target_options={
            **given(flavor=flavor, compute_capability=compute_capability),
            **coreml_options(minimum_deployment_target, image_input, labels, compress_weights, also_sizes),
        },
        seed=seed,
        out=out,
        quantize=quantize_options(
            data, scheme, calibrator, images, exclude, recovery, per_tensor=per_tensor, max_drop=max_drop
        ),
    )
    with progress("export") as report:
        done = export_bundle(options, report=report)
    warn(done.manifest.warnings)
    if json:
        print_json({"bundle": str(done.path), "manifest": as_json(done.manifest)})
    else:
        show_export(done)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)
