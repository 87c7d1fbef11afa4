"""The graph that TensorRT's parser on a device is given: made here from the bundle's, and checked before it is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.bundle import inside
from edgevision.manifest import Manifest

if TYPE_CHECKING:
    from edgevision.targets.tensorrt.flavor import Flavor
    from edgevision.targets.tensorrt.prepare import Prepared

__all__ = ["write_parser_graph"]


def write_parser_graph(bundle: Path, manifest: Manifest, path: Path, flavor: Flavor, *, use_plugins: bool) -> Prepared:
    """Write to `path` what the parser of `flavor` reads of the bundle: our operators as plugin nodes, or inlined.

    Raises:
        GraphError: that parser would refuse the graph, or get it wrong.
    """
    import onnx_ir as ir

    from edgevision.targets.tensorrt.admission import admit, check_file
    from edgevision.targets.tensorrt.prepare import prepare

    target = manifest.target
    batch = (target.get("options") or {}).get("batch") or {}
    source = ir.load(inside(bundle, manifest.graph.path))
    precision = target.get("precision", "fp32")
    made = prepare(source, precision=precision, use_plugins=use_plugins, batch=int(batch.get("best", 1)))
    admit(made.model, flavor, frozenset(made.counts))
    ir.save(made.model, path)
    check_file(path)
    return made
