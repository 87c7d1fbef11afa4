"""The Core ML target: options, `build`, `load`.

On Linux a package is built and its saved program is run by the reference evaluator; the status stays `built, not run`.
On a Mac, Core ML itself runs it (wired, not run here).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgevision.errors import TargetError, UsageError
from edgevision.targets.coreml.this_machine import has_core_ml
from edgevision.targets.target import Artifact, OnProgress, Precision, Runner, WhyNot

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["PACKAGE", "CoreML"]

PACKAGE = "model.mlpackage"
WeightForm = Literal["", "int8", "int4", "palette8", "palette6", "palette4"]


@dataclass(frozen=True, kw_only=True)
class CoreML:
    """Core ML.

    Attributes:
        precision: `fp16` keeps the operations that overflow in fp32; `fp32` keeps all.
        minimum_deployment_target: iOS15 to iOS18 or macOS12 to macOS15.
        image: takes the first input as an image of pixels 0 to 255; `mean` and `std` are baked into the program.
        mean, std: of pixels scaled to 0..1, a value a channel.
        labels: class names, one a score of the first output; makes the package a classifier.
        weights: compression of constant weights alone (activations stay float); empty for none.
        input_sizes: further (height, width) of the first input, as enumerated shapes.
        prove: run the saved package in the evaluator and record the proof.
    """

    precision: Precision = "fp16"
    minimum_deployment_target: str = "iOS17"
    image: bool = False
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    labels: tuple[str, ...] = ()
    weights: WeightForm = ""
    input_sizes: tuple[tuple[int, int], ...] = ()
    prove: bool = True

    def why_not(self) -> WhyNot | None:
        """Whether coremltools is there; looked for, not imported."""
        if find_spec("coremltools") is None:
            return WhyNot(reason="coremltools is not installed", mend="pip install 'edgevision[coreml]'")
        return None

    def why_not_run(self) -> WhyNot | None:
        """Core ML itself is on a Mac only."""
        if not has_core_ml():
            return WhyNot(reason="Core ML runs on Apple's systems only", mend="open it on a Mac")
        return self.why_not()

    def build(self, model: ir.Model, folder: Path, on_progress: OnProgress | None = None) -> Artifact:  # noqa: ARG002
        """Write `model.mlpackage` into `folder`, with a proof from the evaluator.

        Raises:
            TargetError: coremltools is missing.
            GraphError: the graph has something an ML program cannot express exactly.
            UsageError: options that do not fit the graph or each other.
        """
        missing = self.why_not()
        if missing is not None:
            raise TargetError("target coreml", missing.reason, missing.mend)
        from edgevision.targets.coreml.build import build

        return build(self, model, folder)

    def load(self, path: Path) -> Runner:
        """Open a package with Core ML; TargetError away from a Mac."""
        if not has_core_ml():
            raise TargetError(
                str(path),
                "Core ML runs on Apple's systems only",
                "open it on a Mac; here `edgevision.targets.coreml.evaluator` computes what it would",
            )
        from edgevision.targets.coreml.mac import MacRunner

        return MacRunner(path)

    def check(self) -> None:
        """UsageError for options that contradict each other."""
        if self.input_sizes and self.image:
            raise UsageError("input_sizes", "an image input has one size here", "leave out the image or the sizes")
        if self.precision not in ("fp16", "fp32"):
            raise UsageError(f"--precision {self.precision}", "Core ML computes in fp16 or fp32", "use one of them")
