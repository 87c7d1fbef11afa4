"""TensorRT: engines for NVIDIA GPUs, built without one by TensorRT for RTX, our operators inside as plugins."""

from __future__ import annotations

from edgevision.targets.target import TargetEntry
from edgevision.targets.tensorrt.build import RECORD, TensorRT
from edgevision.targets.tensorrt.engine_facts import engine_facts
from edgevision.targets.tensorrt.usage import usage

__all__ = ["TARGET", "TensorRT"]

TARGET = TargetEntry(
    name="trt",
    summary="TensorRT (for RTX, or 10 and 11), with our Triton kernels as plugins",
    create=TensorRT,
    package="tensorrt_rtx",
    extra="trt",
    precisions=("fp32", "fp16", "bf16", "int8"),
    usage=usage,
    record=RECORD,
    facts=engine_facts,
)
