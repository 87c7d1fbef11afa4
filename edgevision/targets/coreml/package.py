"""From an ONNX graph to an `.mlpackage` on disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.errors import OutputError, UsageError
from edgevision.passes.dense_shifts import SHIFTS
from edgevision.targets.coreml.deployment import deployment
from edgevision.targets.coreml.image import Image, normalize
from edgevision.targets.coreml.names import mil_name
from edgevision.targets.coreml.precision import computes_in_fp16
from edgevision.targets.coreml.quiet import quiet, with_little_to_collect
from edgevision.targets.coreml.static_shape import static_dims

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["PackageOptions", "convert", "save"]


@dataclass(frozen=True, kw_only=True)
class PackageOptions:
    """What a package is to be.

    Attributes:
        precision: `fp16` (with `precision.KEPT` in fp32) or `fp32`.
        target: the deployment target, as `deployment.DEPLOYMENTS` names it.
        image: takes the first input as an image.
        labels: class names; the first output must then be one score a class.
        metadata: user-defined metadata of the package.
    """

    precision: str = "fp16"
    target: str = "iOS17"
    image: Image | None = None
    labels: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


def convert(model: ir.Model, options: PackageOptions) -> Any:
    """The Core ML model (a `coremltools.models.MLModel`, not loaded) of a graph. Never changes `model`.

    Raises:
        GraphError: an operator, attribute, shape or type that an ML program cannot express exactly.
        UsageError: an option that does not fit the graph.
    """
    with quiet(), with_little_to_collect():
        import coremltools as ct

        from edgevision.targets.coreml.lowering.graph import Lowerer

        graph, target = model.graph, deployment(options.target)
        preprocess, inputs = {}, None
        if options.image is not None:
            first, shape = _image_input(model)
            image = options.image
            preprocess[first] = lambda pixels: normalize(image, pixels)
            layout = ct.colorlayout.RGB if image.color == "RGB" else ct.colorlayout.BGR
            inputs = [ct.ImageType(name=mil_name(first), shape=shape, color_layout=layout)]
            inputs += [_tensor_input(value) for value in graph.inputs[1:]]
        program = Lowerer(model).program(target, preprocess)
        classifier = None
        if options.labels:
            _check_labels(program, options.labels)
            classifier = ct.ClassifierConfig(
                list(options.labels), predicted_probabilities_output=program.functions["main"].outputs[0].name
            )
        result = ct.convert(
            program,
            convert_to="mlprogram",
            inputs=inputs,
            minimum_deployment_target=target,
            compute_precision=_compute_precision(options.precision),
            classifier_config=classifier,
            skip_model_load=True,
            pass_pipeline=_passes(model),
        )
    result.user_defined_metadata.update(options.metadata)
    return result


def _compute_precision(precision: str) -> Any:
    import coremltools as ct

    if precision == "fp32":
        return ct.precision.FLOAT32
    return ct.transform.FP16ComputePrecision(op_selector=computes_in_fp16)


def _passes(model: ir.Model) -> Any:
    """The passes of coremltools, without those that compute something else.

    The one that turns `x g + b` into a batch norm of variance 1 keeps the default epsilon of 1e-5, so the result is `g`
    times 5e-6 off. The one that takes a factor into the convolution before it would take the 2^16 of fixed-point
    activations, which `precision.py` keeps out of fp16, into one.
    """
    import coremltools as ct

    pipeline = ct.PassPipeline.DEFAULT
    pipeline.remove_passes({"common::fuse_elementwise_to_batchnorm"})
    if any(node.op_type in SHIFTS for node in model.graph.all_nodes()):
        pipeline.remove_passes({"common::fuse_conv_scale"})
    return pipeline


def _image_input(model: ir.Model) -> tuple[str, list[int]]:
    value = model.graph.inputs[0]
    dims = static_dims(value)
    if len(dims) != 4 or dims[:2] != [1, 3]:
        raise UsageError("image input", f"the first input has shape {dims}, not [1, 3, H, W]", "leave the image out")
    return value.name or "", dims


def _tensor_input(value: ir.Value) -> Any:
    import coremltools as ct

    return ct.TensorType(name=mil_name(value.name or ""), shape=static_dims(value))


def _check_labels(program: Any, labels: tuple[str, ...]) -> None:
    shape = program.functions["main"].outputs[0].shape
    if not shape or shape[-1] != len(labels) or any(dim != 1 for dim in shape[:-1]):
        raise UsageError("class labels", f"{len(labels)} labels do not fit an output of shape {shape}", "one a class")
    if len(set(labels)) < len(labels):
        raise UsageError("class labels", "some labels are equal, and Core ML's are keys", "make them unique")


def save(model: Any, path: Path) -> Path:
    """Write the package to `path`, whole or not at all, over one that is there.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".mlpackage-", dir=path.parent) as scratch:
            written = Path(scratch) / path.name
            with quiet():
                model.save(str(written))
            if path.exists():
                shutil.rmtree(path)
            os.replace(written, path)  # noqa: PTH105 - a folder, moved within one file system
    except OSError as error:
        raise OutputError(
            str(path), f"the package cannot be written ({error})", "check the folder and its space"
        ) from error
    return path
