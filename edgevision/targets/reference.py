"""The portable graph itself, run in the simplest way: no kernels, no graph optimization, one thread.

Everything from capture to gate is tested on this target, which needs no device and no compiler; every graph stage is
proven on it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.targets.onnxruntime import OnnxRuntime, OrtRunner
from edgevision.targets.target import Artifact, OnProgress, Precision, TargetEntry, WhyNot

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["TARGET", "Reference"]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The graph with its bodies inlined and nothing else done to it."""

    precision: Precision = "fp32"

    def _runtime(self) -> OnnxRuntime:
        return OnnxRuntime(precision=self.precision, plugins=False, threads=1, optimize=False)

    def why_not(self) -> WhyNot | None:
        return self._runtime().why_not()

    def why_not_run(self) -> WhyNot | None:
        return self._runtime().why_not_run()

    def build(self, model: ir.Model, folder: Path, on_progress: OnProgress | None = None) -> Artifact:
        return self._runtime().build(model, folder, on_progress)

    def load(self, path: Path) -> OrtRunner:
        return self._runtime().load(path)


TARGET = TargetEntry(
    name="onnx",
    summary="the portable ONNX graph alone, run without kernels or optimization",
    create=Reference,
    package="onnxruntime",
)
