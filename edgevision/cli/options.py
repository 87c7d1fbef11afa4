"""Options that several commands share: an option means the same in every one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgevision.errors import UsageError

if TYPE_CHECKING:
    from edgevision.stages.quantize import QuantizeOptions

__all__ = [
    "AdaRound",
    "BatchText",
    "BiasCorrection",
    "BundleArg",
    "Calibrator",
    "ComputeCapability",
    "DataText",
    "Equalize",
    "Exclude",
    "Flavor",
    "Images",
    "Json",
    "MaxDrop",
    "MigrateScales",
    "ModelArg",
    "ModelArgs",
    "NoPlugins",
    "Out",
    "PerTensor",
    "PrecisionText",
    "SchemeText",
    "SizeText",
    "SsmAware",
    "TargetText",
    "ThreadCount",
    "WeightsFile",
    "WeightsKey",
    "given",
    "parse_model_args",
    "parse_precision",
    "quantize_options",
    "recovery_switches",
]

ModelArg = Annotated[
    str, typer.Argument(metavar="MODEL", help="Zoo name, timm:NAME, package.module:factory, file.onnx")
]
BundleArg = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder made by `edgevision export`")]
WeightsFile = Annotated[
    Path | None, typer.Option("--weights", help="Checkpoint (.pth, .safetensors); absent: its own, else random")
]
WeightsKey = Annotated[str | None, typer.Option("--weights-key", help="Entry of the checkpoint that holds the weights")]
ModelArgs = Annotated[list[str] | None, typer.Option("--model-arg", metavar="K=V", help="Override a field of the card")]
SizeText = Annotated[str | None, typer.Option("--input-size", metavar="HxW", help="Input height and width in pixels")]
BatchText = Annotated[str, typer.Option("--batch", metavar="N|MIN:OPT:MAX", help="Batch size, or a dynamic range")]
TargetText = Annotated[str, typer.Option("--target", help="ort, trt, coreml, onnx (see `edgevision targets`)")]
PrecisionText = Annotated[str | None, typer.Option("--precision", help="fp32, fp16, bf16 or int8")]
NoPlugins = Annotated[bool, typer.Option("--no-plugins", help="Use op bodies alone, no kernels of ours")]
Flavor = Annotated[str | None, typer.Option("--flavor", help="trt: rtx or enterprise; the installed one if absent")]
ComputeCapability = Annotated[
    str | None, typer.Option("--compute-capability", metavar="8.6,8.9", help="trt: GPUs to build for")
]
Out = Annotated[Path | None, typer.Option("--out", help="Where to write")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there")]
ThreadCount = Annotated[int, typer.Option("--threads", min=0, help="Threads; 0 leaves it to the runtime")]

DataText = Annotated[
    str | None,
    typer.Option("--data", metavar="DIR|NPZ|NPY|digits", help="Images: to calibrate INT8 on, or to test with"),
]
SchemeText = Annotated[
    str | None, typer.Option("--scheme", help="INT8 scheme; the target's for this machine if absent")
]
Calibrator = Annotated[str, typer.Option("--calibrator", help="auto, min-max, percentile, entropy or mse")]
Images = Annotated[int, typer.Option("--images", min=1, help="Images of --data that are used at most")]
BiasCorrection = Annotated[
    bool | None,
    typer.Option("--bias-correction/--no-bias-correction", help="Let biases take back the mean's shift by rounding"),
]
Equalize = Annotated[
    bool | None, typer.Option("--equalize/--no-equalize", help="Even out channels between linear operators")
]
MigrateScales = Annotated[
    bool | None, typer.Option("--migrate-scales/--no-migrate-scales", help="Even out what a layer norm writes")
]
AdaRound = Annotated[
    bool | None, typer.Option("--adaround/--no-adaround", help="Round weights as the layer's output wants it")
]
SsmAware = Annotated[
    bool | None, typer.Option("--ssm-aware/--no-ssm-aware", help="Keep what computes a scan's steps, B, C in float")
]
MaxDrop = Annotated[
    float | None,
    typer.Option(
        "--max-drop", min=0, metavar="PP", help="Fastest INT8 that loses no more: points of top-1, dB of PSNR"
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="NODE|KIND", help="Keep a node, or a kind of operator, in float"),
]


PerTensor = Annotated[
    bool, typer.Option("--per-tensor", help="INT8 weights get one scale each, not one per output channel")
]


def parse_model_args(pairs: list[str] | None) -> dict[str, Any]:
    """`K=V` pairs; V is read as JSON where it is JSON, else as text. A list of numbers stands for a tuple."""
    values: dict[str, Any] = {}
    for pair in pairs or ():
        key, sign, text = pair.partition("=")
        if not sign or not key.isidentifier():
            raise UsageError(f"--model-arg {pair}", "it is not of the form K=V", "e.g. num_classes=10")
        try:
            values[key] = json.loads(text)
        except json.JSONDecodeError:
            values[key] = text
    return values


def quantize_options(
    data: str | None,
    scheme: str | None,
    calibrator: str,
    images: int,
    exclude: list[str] | None,
    recovery: Mapping[str, bool],
    *,
    per_tensor: bool = False,
    max_drop: float | None = None,
    explain: bool = False,
) -> QuantizeOptions | None:
    """How to quantize, None without `--data`; UsageError where another option of quantization is given alone."""
    from edgevision.calibration.calibrators import parse_method
    from edgevision.quantize.recovery import Recovery
    from edgevision.stages.quantize import QuantizeOptions

    if data is None:
        switches = [(f"--{name.replace('_', '-')}", True) for name in recovery]
        one_scale = ("--per-tensor", per_tensor or None)
        typed = (("--scheme", scheme), ("--exclude", exclude), one_scale, ("--max-drop", max_drop), *switches)
        for flag, value in typed:
            if value is not None:
                raise UsageError(flag, "it needs --data", "name the images to calibrate on")
        return None
    method = parse_method(calibrator)
    return QuantizeOptions(
        data=data,
        scheme=scheme,
        calibrator=method,
        images=images,
        exclude=tuple(exclude or ()),
        per_tensor=per_tensor,
        recovery=Recovery(**recovery),
        max_drop=max_drop,
        explain=explain,
    )


def recovery_switches(
    equalize: bool | None,
    migrate_scales: bool | None,
    bias_correction: bool | None,
    adaround: bool | None,
    ssm_aware: bool | None,
) -> dict[str, bool]:
    """The switches that were typed, by the names of `Recovery`; the others keep their defaults."""
    typed = {
        "equalize": equalize,
        "migrate_scales": migrate_scales,
        "bias_correction": bias_correction,
        "adaround": adaround,
        "ssm_aware": ssm_aware,
    }
    return {name: value for name, value in typed.items() if value is not None}


def given(**options: str | None) -> dict[str, str]:
    """The options of one target that were typed."""
    return {name: value for name, value in options.items() if value is not None}


def parse_precision(text: str | None) -> Any:
    """One of the precisions, or None for the target's own; UsageError otherwise."""
    if text is None:
        return None
    known = ("fp32", "fp16", "bf16", "int8")
    if text not in known:
        raise UsageError(f"--precision {text}", "there is no such precision", f"one of: {', '.join(known)}")
    return text
