"""What `edgevision compare` is given, and what of it is compared.

MODEL        (zoo name, timm:NAME, package.module:factory)  the PyTorch module itself
FILE.onnx    a graph, float or quantized, node by node
BUNDLE       what its runtime makes of it: ONNX Runtime with its fusions and our kernels, Core ML in the evaluator,
             TensorRT where it runs (its outputs: an engine shows nothing of its inside)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.bundle import inside, open_bundle
from edgevision.cache import default_cache
from edgevision.calibration.open_data import open_data
from edgevision.calibration.source import batches
from edgevision.check_bundle import open_artifact, target_of, why_not_run
from edgevision.errors import DataError, GraphError, TargetError, UsageError
from edgevision.manifest import Manifest
from edgevision.quantize.compare_sides import GraphSide, OutputsSide, Side, TracedSide
from edgevision.spec import OnnxFile, parse_model
from edgevision.stages.load import LoadOptions
from edgevision.targets.reference import Reference
from edgevision.targets.target import Runner, Tracing

__all__ = ["Opened", "open_feeds", "open_side"]


@dataclass(frozen=True, kw_only=True)
class Opened:
    """One side of a comparison.

    Attributes:
        side: the computation.
        kind: what it is, for a reader.
        preprocess: how its model preprocesses images, None where that is not known.
        weights: sha256 of the weights it was made of, None where that is not known.
    """

    side: Side
    kind: str
    preprocess: Mapping[str, Any] | None = None
    weights: str | None = None


def open_side(text: str, torch: LoadOptions, held: ExitStack) -> Opened:
    """What `text` names; `torch` says how to load it where it is a PyTorch model, `held` closes a runtime in the end.

    Raises:
        DataError: it does not exist.
        GraphError: the file is not ONNX.
        ModelError: there is no such model, or its weights do not fit.
        TargetError: a bundle of which nothing can be computed here.
    """
    path = Path(text)
    if path.is_dir():
        return _bundle(path, held)
    if path.suffix == ".onnx" or (len(path.parts) > 1 and not text.startswith("timm:")):
        if not path.is_file():
            raise DataError(text, "there is no such file or bundle", "give a model, an ONNX file or a bundle")
        return Opened(side=GraphSide(_read(path), Reference().load), kind="graph, node by node")
    return _module(text, torch)


def _read(path: Path) -> ir.Model:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return ir.load(path)
    except (DecodeError, ValueError, OSError) as error:
        raise GraphError(str(path), f"it is not a valid ONNX model ({error})", "export it again") from error


def _bundle(path: Path, held: ExitStack) -> Opened:
    manifest = open_bundle(path)
    side, kind = _computed(path, manifest, held)
    how, weights = manifest.model.preprocess, manifest.model.weights.get("sha256")
    return Opened(side=side, kind=kind, preprocess=how, weights=weights)


def _computed(path: Path, manifest: Manifest, held: ExitStack) -> tuple[Side, str]:
    name, artifact = manifest.target["name"], inside(path, str(manifest.artifact["path"]))
    if name == "ort":
        return GraphSide(_read(artifact), target_of(manifest, threads=1).load), "ONNX Runtime"
    if name == "onnx":
        return GraphSide(_read(artifact), Reference().load), "graph, node by node"
    runner = held.enter_context(_opened(path, manifest))
    graph = _read(inside(path, manifest.graph.path))
    kind = name if why_not_run(manifest) is None else f"{name}, emulated"
    return TracedSide(graph, runner, runner) if isinstance(runner, Tracing) else OutputsSide(graph, runner), kind


def _opened(path: Path, manifest: Manifest) -> Runner:
    runner = open_artifact(path, manifest)
    if runner is None:
        raise TargetError(
            manifest.target["name"],
            "this artifact can neither be run nor emulated on this machine",
            f"give its graph instead: {path / manifest.graph.path}",
        )
    return runner


def _module(text: str, options: LoadOptions) -> Opened:
    from edgevision.quantize.compare_torch import TorchSide
    from edgevision.stages.capture import CaptureOptions
    from edgevision.stages.graph import deploy_graph
    from edgevision.stages.load import load
    from edgevision.stages.samples import samples_of_module
    from edgevision.stages.timing import unreported

    spec = parse_model(text)
    assert not isinstance(spec, OnnxFile)  # read as a graph before
    loaded, _ = load(spec, options)
    samples = samples_of_module(loaded, [1], options.seed)
    graph = deploy_graph(loaded, CaptureOptions(), samples, default_cache(), unreported).model
    if len(loaded.inputs) != 1:
        raise UsageError(text, f"it has {len(loaded.inputs)} inputs", "compare takes models with one")
    return Opened(
        side=TorchSide(loaded.module, graph, next(iter(samples.feeds[0].values()))),
        kind="PyTorch",
        preprocess=loaded.info.preprocess,
        weights=loaded.info.weights.get("sha256"),
    )


def open_feeds(sides: Sequence[Opened], data: str | None, count: int) -> tuple[list[NDArray[np.float32]], bool]:
    """At most `count` inputs [N, C, H, W] that both sides take, and whether they are noise."""
    value = sides[0].side.graph.graph.inputs[0]
    dims = [d if isinstance(d, int) else 1 for d in value.shape or ()]
    if len(dims) != 4:
        raise GraphError(str(value.name), "the model does not take images [N, C, H, W]", "compare takes image models")
    if data is None:
        rng = np.random.default_rng(0)
        return [rng.standard_normal(dims).astype(np.float32) for _ in range(count)], True
    how = next((side.preprocess for side in sides if side.preprocess is not None), None)
    source = open_data(data, (dims[1], dims[2], dims[3]), how)
    feeds = [images for images, _ in batches(source, dims[0], count * dims[0])]
    if not feeds:
        raise DataError(data, f"it has fewer images than the graph's batch of {dims[0]}", "give more images")
    return feeds, False
