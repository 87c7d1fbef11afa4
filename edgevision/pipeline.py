"""The one path: load → capture → reparam → passes → compile → verify, into a bundle.

Command line, Python API and cache call these functions; there is no second way in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.bundle import MANIFEST, MODEL, staged_bundle
from edgevision.cache import Cache, default_cache
from edgevision.environment import environment
from edgevision.errors import GraphError, UsageError
from edgevision.hashing import file_sha256, tree_sha256
from edgevision.manifest import GraphInfo, Manifest, as_json
from edgevision.onnx_file import save_onnx
from edgevision.spec import ModelSpec, OnnxFile, parse_model
from edgevision.stages.compile import compile_graph, find_target, informed_target, make_target
from edgevision.stages.quantize import require_quantized
from edgevision.stages.samples import representable_samples
from edgevision.stages.source import Source, SourceOptions, open_source
from edgevision.stages.timing import Report, unreported
from edgevision.stages.verify import TOLERANCES, verify_artifact
from edgevision.targets.target import Artifact, Precision, Target, TargetEntry

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevision.stages.graph import DeployGraph
    from edgevision.stages.quantize import Int8, QuantizeOptions

__all__ = ["ExportOptions", "Exported", "export_bundle"]

SAMPLE = "sample.npz"


@dataclass(frozen=True, kw_only=True)
class ExportOptions(SourceOptions):
    """Everything `edgevision export` can be told; of the model, see `SourceOptions`.

    Attributes:
        target: name of the target.
        target_options: options of that target only, by field name.
        precision: of the artifact; None takes the target's own.
        plugins: use our kernels where the target takes them.
        merge: fold branches and norms; False compiles an ONNX file as it is.
        out: the bundle's folder; None puts it into the current one, named after model, target and precision.
        quantize: how a float graph becomes INT8; None when it is not asked for, or the graph is quantized already.
    """

    target: str
    target_options: Mapping[str, Any] = field(default_factory=dict)
    precision: Precision | None = None
    plugins: bool = True
    merge: bool = True
    out: Path | None = None
    samples: int = 4
    quantize: QuantizeOptions | None = None


@dataclass(frozen=True)
class Exported:
    """A finished bundle: its folder and its manifest."""

    path: Path
    manifest: Manifest


def export_bundle(options: ExportOptions, *, cache: Cache | None = None, report: Report = unreported) -> Exported:
    """Run the whole path. `report` is told the name of each stage as it begins.

    Raises:
        EdgeError: of the kind of the stage that failed; nothing is left behind then.
    """
    entry = find_target(options.target)
    target = make_target(entry, _target_options(entry, options))
    spec = parse_model(options.model)
    out = options.out or Path(f"{_stem(spec)}-{options.target}-{_precision(entry, options)}")
    cache = cache or default_cache()
    _check_quantize(options, _precision(entry, options))
    with staged_bundle(out) as folder:
        source = open_source(options, cache, report, merged=options.merge)
        source, int8 = _quantized(source, options, entry.name, cache, report)
        if int8 is not None and not int8.gained:
            options = dataclasses.replace(options, precision="fp32")
            target = make_target(entry, _target_options(entry, options))
        manifest = _finish(source, int8, target, entry, options, folder, report)
    return Exported(out, manifest)


def _quantized(
    source: Source, options: ExportOptions, target: str, cache: Cache, report: Report
) -> tuple[Source, Int8 | None]:
    """The source with its graph in INT8, where that is asked for and gains, and what was found in any case."""
    if options.quantize is None:
        return source, None
    from edgevision.stages.quantize import quantize_graph

    model, how_seen = source.graph.model, source.info.preprocess
    report("quantize")
    int8 = quantize_graph(
        model, source.samples, how_seen, target, options.quantize, cache, report, plugins=options.plugins
    )
    graph = dataclasses.replace(source.graph, model=int8.model, records=(*source.graph.records, int8.record))
    warnings = (*source.warnings, *int8.warnings)
    return dataclasses.replace(source, graph=graph, samples=int8.samples, warnings=warnings), int8


def _finish(
    source: Source,
    int8: Int8 | None,
    target: Target,
    entry: TargetEntry,
    options: ExportOptions,
    folder: Path,
    report: Report,
) -> Manifest:
    """Compile and verify, then everything a bundle holds besides the artifact."""
    precision = _precision(entry, options)
    require_quantized(source.graph.model, precision)
    graph_path = folder / MODEL
    save_onnx(source.graph.model, graph_path)
    target = informed_target(target, source.info.preprocess)
    samples = representable_samples(source.samples, target, source.graph.model, folder)
    report("compile")
    artifact, compiled = compile_graph(source.graph.model, graph_path, target, folder, report)
    report("verify")
    tolerance = artifact.tolerance or (int8.tolerance if int8 else TOLERANCES[precision])
    verified = verify_artifact(artifact, target, samples, tolerance, source.graph.model)
    samples.write_first(folder / SAMPLE)
    manifest = Manifest(
        model=source.info,
        target={"name": entry.name, "precision": precision, "options": as_json(target)},
        graph=_graph_info(source.graph, graph_path),
        artifact=_artifact_info(artifact, folder),
        stages=(*source.records, *source.graph.records, compiled, verified.record),
        parity=verified.parity,
        inputs=_tensors(source.graph.model.graph.inputs),
        outputs=_tensors(source.graph.model.graph.outputs),
        files={str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()},
        proofs=tuple(as_json(p) for p in (*artifact.proofs, *verified.proofs)),
        environment=environment(),
        reparam=source.graph.reparam,
        calibration=int8.calibration if int8 else None,
        quantization=int8.quantization if int8 else None,
        warnings=(*source.warnings, *artifact.notes, *verified.warnings),
    )
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    from edgevision.bundle_readme import bundle_readme

    (folder / "README.md").write_text(bundle_readme(manifest), encoding="utf-8")
    return manifest


def _precision(entry: TargetEntry, options: ExportOptions) -> Precision:
    own: Precision = options.precision or entry.create().precision
    return own


def _check_quantize(options: ExportOptions, precision: Precision) -> None:
    if options.quantize is not None and precision != "int8":
        raise UsageError("--data", f"--precision {precision} is not calibrated", "give --precision int8 with it")


def _target_options(entry: TargetEntry, options: ExportOptions) -> dict[str, Any]:
    """The target's fields from the options all targets share, over those given for it alone."""
    fields = {f.name for f in dataclasses.fields(entry.create)}
    shared = {"precision": _precision(entry, options), "plugins": options.plugins, "batch": options.batch}
    if not options.plugins and "plugins" not in fields:
        raise UsageError("--no-plugins", f"the target {entry.name} uses no plugins anyway", "leave --no-plugins out")
    return {**{k: v for k, v in shared.items() if k in fields}, **options.target_options}


def _graph_info(graph: DeployGraph, path: Path) -> GraphInfo:
    from collections import Counter

    from edgevision.ops.operator import DOMAIN
    from edgevision.passes.inline_bodies import count_nodes

    custom = Counter(n.op_type for n in graph.model.graph.all_nodes() if n.domain == DOMAIN)
    opset = graph.model.opset_imports.get("")
    if opset is None:
        raise GraphError(path.name, "it imports no ONNX opset", "export it again with a current exporter")
    return GraphInfo(
        path=path.name, sha256=file_sha256(path), nodes=count_nodes(graph.model), opset=opset, custom_ops=dict(custom)
    )


def _tensors(values: Sequence[ir.Value]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            "name": value.name,
            "shape": [d if isinstance(d, int) else None for d in value.shape or ()],
            "dtype": str(value.dtype.numpy()) if value.dtype else None,
        }
        for value in values
    )


def _artifact_info(artifact: Artifact, folder: Path) -> dict[str, Any]:
    files = [artifact.path] if artifact.path.is_file() else [f for f in artifact.path.rglob("*") if f.is_file()]
    return {
        "path": str(artifact.path.relative_to(folder)),
        "sha256": tree_sha256(artifact.path),
        "bytes": sum(f.stat().st_size for f in files),
        "runnable": artifact.runnable,
        "library": artifact.library.name if artifact.library else None,
        "extra": [str(p.relative_to(folder)) for p in artifact.extra],
    }


def _stem(spec: ModelSpec) -> str:
    """What a bundle is called by default; a name of timm's may have a slash in it."""
    return _name(spec).replace("/", "-")


def _name(spec: ModelSpec) -> str:
    match spec:
        case OnnxFile(path):
            return path.stem
        case _ if hasattr(spec, "name"):
            return spec.name
        case _:
            return spec.factory
