"""Core ML: the same ONNX graph as an ML program, its numbers checked on Linux.

coremltools is imported inside functions only: the target can be listed without it.
"""

from __future__ import annotations

from edgevision.targets.coreml.target import CoreML
from edgevision.targets.coreml.usage import usage
from edgevision.targets.target import TargetEntry

__all__ = ["TARGET", "CoreML"]

TARGET = TargetEntry(
    name="coreml",
    summary="Core ML ML program (.mlpackage) for iPhone, iPad and Mac",
    create=CoreML,
    package="coremltools",
    extra="coreml",
    precisions=("fp16", "fp32", "int8"),
    usage=usage,
)
