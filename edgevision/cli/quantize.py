"""`edgevision quantize`: a model to a verified INT8 bundle for ONNX Runtime; `export --precision int8` by its own name."""

from __future__ import annotations

from typing import Annotated

import typer

from edgevision.cli.options import (
    AdaRound,
    BiasCorrection,
    Calibrator,
    Equalize,
    Exclude,
    Images,
    Json,
    MaxDrop,
    MigrateScales,
    ModelArg,
    ModelArgs,
    Out,
    PerTensor,
    SchemeText,
    SizeText,
    SsmAware,
    WeightsFile,
    WeightsKey,
    parse_model_args,
    quantize_options,
    recovery_switches,
)

__all__ = ["register"]


def quantize(
    model: ModelArg,
    data: Annotated[str, typer.Option("--data", metavar="DIR|NPZ|NPY|digits", help="Images to calibrate on")],
    target: Annotated[str, typer.Option("--target", help="ort, trt (see `edgevision targets`)")] = "ort",
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
    weights: WeightsFile = None,
    weights_key: WeightsKey = None,
    model_arg: ModelArgs = None,
    input_size: SizeText = None,
    explain: Annotated[bool, typer.Option("--explain", help="List per operator its noise, gain and decision")] = False,
    out: Out = None,
    json: Json = False,
) -> None:
    """Quantize a model to INT8.

    Calibrated, placed where the runtime gains, compared with float.
    """
    from edgevision.cli.console import print_json, progress, warn
    from edgevision.cli.show import show_explained, show_export
    from edgevision.manifest import as_json
    from edgevision.pipeline import ExportOptions, export_bundle
    from edgevision.spec import parse_input_size

    recovery = recovery_switches(equalize, migrate_scales, bias_correction, adaround, ssm_aware)
    options = ExportOptions(
        model=model,
        target=target,
        weights=weights,
        weights_key=weights_key,
        model_args=parse_model_args(model_arg),
        precision="int8",
        input_size=parse_input_size(input_size) if input_size else None,
        out=out,
        quantize=quantize_options(
            data,
            scheme,
            calibrator,
            images,
            exclude,
            recovery,
            per_tensor=per_tensor,
            max_drop=max_drop,
            explain=explain,
        ),
    )
    with progress("quantize") as report:
        done = export_bundle(options, report=report)
    warn(done.manifest.warnings)
    if json:
        print_json({"bundle": str(done.path), "manifest": as_json(done.manifest)})
        return
    show_export(done)
    if explain and done.manifest.quantization is not None:
        show_explained(done.manifest.quantization)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(quantize)
