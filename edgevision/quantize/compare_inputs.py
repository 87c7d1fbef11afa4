"""What `edgevision compare` is given: bundles or ONNX files, and images or noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.bundle import inside, open_bundle
from edgevision.calibration.open_data import open_data
from edgevision.calibration.source import batches
from edgevision.errors import DataError, GraphError

__all__ = ["Opened", "open_feeds", "open_graph"]


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A graph, and how its model preprocesses images where that is known."""

    model: ir.Model
    preprocess: Mapping[str, Any] | None


def open_graph(path: Path) -> Opened:
    """An ONNX file, or a bundle's graph: as ONNX Runtime runs it, which INT8 was made of, else the portable one.

    Raises:
        DataError: neither is there.
        GraphError: the file is not ONNX.
    """
    how = None
    if path.is_dir():
        manifest = open_bundle(path)
        run = str(manifest.artifact["path"])
        as_run = manifest.target["name"] == "ort" and run.endswith(".onnx")
        path, how = inside(path, run if as_run else manifest.graph.path), manifest.model.preprocess
    if not path.is_file():
        raise DataError(str(path), "there is no such file", "give a bundle or an ONNX file")
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return Opened(model=ir.load(path), preprocess=how)
    except (DecodeError, ValueError, OSError) as error:
        raise GraphError(str(path), f"it is not a valid ONNX model ({error})", "export it again") from error


def open_feeds(opened: Opened, data: str | None, count: int) -> tuple[list[dict[str, NDArray[np.float32]]], bool]:
    """At most `count` feeds for the graph, and whether they are noise."""
    value = opened.model.graph.inputs[0]
    dims = [d if isinstance(d, int) else 1 for d in value.shape or ()]
    if len(dims) != 4:
        raise GraphError(str(value.name), "the model does not take images [N, C, H, W]", "compare takes image models")
    name = str(value.name)
    if data is None:
        rng = np.random.default_rng(0)
        return [{name: rng.standard_normal(dims).astype(np.float32)} for _ in range(count)], True
    source = open_data(data, (dims[1], dims[2], dims[3]), opened.preprocess)
    feeds = [{name: images} for images, _ in batches(source, dims[0], count * dims[0])]
    if not feeds:
        raise DataError(data, f"it has fewer images than the graph's batch of {dims[0]}", "give more images")
    return feeds, False
