"""Options that several commands share: an option means the same in every one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edgevision.errors import UsageError

__all__ = [
    "BatchText",
    "BundleArg",
    "ComputeCapability",
    "DeploymentTarget",
    "Flavor",
    "Json",
    "ModelArg",
    "ModelArgs",
    "NoPlugins",
    "Out",
    "PrecisionText",
    "SizeText",
    "TargetText",
    "ThreadCount",
    "WeightsFile",
    "WeightsKey",
    "given",
    "parse_model_args",
    "parse_precision",
]

ModelArg = Annotated[
    str, typer.Argument(metavar="MODEL", help="Zoo name, timm:NAME, package.module:factory, file.onnx")
]
BundleArg = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder made by `edgevision export`")]
WeightsFile = Annotated[
    Path | None, typer.Option("--weights", help="Checkpoint (.pth, .safetensors); random if absent")
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
DeploymentTarget = Annotated[
    str | None, typer.Option("--minimum-deployment-target", metavar="iOS17", help="coreml: oldest system to run on")
]
Out = Annotated[Path | None, typer.Option("--out", help="Where to write")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there")]
ThreadCount = Annotated[int, typer.Option("--threads", min=0, help="Threads; 0 leaves it to the runtime")]


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
