"""The Core ML target: options, `build`, `load`.

On Linux a package is built and its saved program is run by the reference evaluator; the status stays `built, not run`.
On a Mac, Core ML itself runs it (wired, checked with a stand-in, not run here).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgevision.errors import TargetError, UsageError
from edgevision.targets.coreml.this_machine import has_core_ml
from edgevision.targets.target import Artifact, OnProgress, Precision, Runner, WhyNot

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevision.targets.coreml.image import Image
    from edgevision.targets.target import Array

__all__ = ["PACKAGE", "CoreML"]

PACKAGE = "model.mlpackage"
WeightForm = Literal["", "int8", "int4", "palette8", "palette6", "palette4"]


@dataclass(frozen=True, kw_only=True)
class CoreML:
    """Core ML.

    Attributes:
        precision: `fp16` keeps the operations that overflow in fp32; `fp32` keeps all; `int8` is the graph's own
            Q/DQ pairs, and fp16 between them.
        minimum_deployment_target: iOS15 to iOS18 or macOS12 to macOS15.
        image_input: takes the first input as an image of pixels 0 to 255, the normalization inside the program.
        mean, std: of pixels scaled to 0..1, a value a channel; empty for what `preprocess` says.
        preprocess: how the model's images are made, from its card.
        labels: class names, one a score of the first output; makes the package a classifier.
        compress_weights: compression of constant weights alone (activations stay float); empty for none.
        also_sizes: further (height, width) of the first input, as enumerated shapes.
        prove: run the saved package in the evaluator and record the proof.
    """

    precision: Precision = "fp16"
    minimum_deployment_target: str = "iOS17"
    image_input: bool = False
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    preprocess: Mapping[str, Any] | None = None
    labels: tuple[str, ...] = ()
    compress_weights: WeightForm = ""
    also_sizes: tuple[tuple[int, int], ...] = ()
    prove: bool = True

    def __post_init__(self) -> None:
        """UsageError for options that there are not, or that contradict each other: before anything is captured."""
        from edgevision.targets.coreml.compress import check_form
        from edgevision.targets.coreml.deployment import check_deployment

        check_deployment(self.minimum_deployment_target)
        check_form(self.compress_weights, self.minimum_deployment_target)
        if self.mean:
            self.normalization()
        if self.also_sizes and self.image_input:
            raise UsageError("--also-sizes", "an image input has one size here", "leave out the image or the sizes")
        if self.precision == "bf16":
            raise UsageError("--precision bf16", "Core ML has no bfloat16", "use fp16 or fp32")
        if self.precision == "int8" and self.compress_weights:
            raise UsageError(
                f"--compress-weights {self.compress_weights}",
                "--precision int8 has small weights already",
                "use one of the two",
            )

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
        from edgevision.passes.unpack_shifts import refuse_integer_shifts
        from edgevision.targets.coreml.build import build

        refuse_integer_shifts(model, "Core ML")
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

    def emulate(self, path: Path) -> Runner:
        """The saved program in the reference evaluator."""
        from edgevision.targets.coreml.emulated import EmulatedRunner

        return EmulatedRunner(path)

    def representable(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """With the first input moved to what pixels can become, where the package takes an image."""
        image = self.normalization()
        if image is None:
            return feeds
        from edgevision.targets.coreml.image import normalized, pixels_of

        first = next(iter(feeds))
        return {**feeds, first: normalized(image, pixels_of(image, feeds[first]))}

    def profile(self, path: Path, feeds: Mapping[str, Array], runs: int) -> Mapping[str, Any]:
        """On a Mac: times for every choice of compute units, and where the compute plan puts each operation."""
        from edgevision.latency import summarize
        from edgevision.manifest import as_json
        from edgevision.targets.coreml.mac_profile import measure, placement, sample_features

        features = sample_features(path, feeds)
        return {
            "placement": dict(placement(path)),
            "compute_units": [
                {"name": m.compute_units, "load_ms": m.load_ms, "latency_ms": as_json(summarize(m.samples_ms))}
                for m in measure(path, features, runs=runs)
            ],
        }

    def normalization(self) -> Image | None:
        """The image input as it was asked for; UsageError where nothing says how images are normalized."""
        if not self.image_input:
            return None
        from edgevision.targets.coreml.image import Image

        card = self.preprocess or {}
        mean, std = (tuple(own or card.get(key, ())) for own, key in ((self.mean, "mean"), (self.std, "std")))
        if not mean or not std:
            raise UsageError(
                "--image-input card",
                "the model has no card that states mean and std",
                "give them: --image-input MEAN/STD",
            )
        return Image(mean=mean, std=std)
