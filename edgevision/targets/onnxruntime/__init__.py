"""The ONNX Runtime target."""

from edgevision.targets.onnxruntime.runner import OrtRunner
from edgevision.targets.onnxruntime.target import TARGET, OnnxRuntime

__all__ = ["TARGET", "OnnxRuntime", "OrtRunner"]
