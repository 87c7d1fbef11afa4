"""ShiftAdd conversion as a whole: a model or graph in, a graph with shifted layers and an account of it out."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.errors import GraphError
from edgevision.ops.shift_code import ShiftCode
from edgevision.proof import Difference
from edgevision.shiftadd.account import Shifted, ShiftOptions, checked
from edgevision.stages.graph_notes import save_graph
from edgevision.stages.source import Source, open_source
from edgevision.stages.timing import Report, unreported

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevision.quantize.judge import Speed
    from edgevision.quantize.search import Found
    from edgevision.shiftadd.convert import Layer
    from edgevision.stages.load import Loaded
    from edgevision.stages.samples import Samples

__all__ = ["shift_model"]

#: Packed and unpacked weights are the same numbers; only the order of float32 sums may differ.
_TOLERANCE = 1e-4


def shift_model(options: ShiftOptions, *, report: Report = unreported) -> Shifted:
    """Load, merge, convert, measure; the result is written whole or not at all.

    Raises:
        EdgeError: of the stage that failed.
    """
    from edgevision.shiftadd.candidates import candidates
    from edgevision.shiftadd.choose import selected
    from edgevision.shiftadd.energy import energy_of
    from edgevision.shiftadd.on_device import profiled

    code = checked(options)
    seen = profiled(options.profiles)
    original, source, attention = _sources(options, report)
    dense = source.graph.model
    layers = selected(dense, options.select)
    found, names = _chosen(source, layers, code, options, report)
    report("convert")
    model, rows = _converted(dense, names, code, options)
    report("compare")
    error, proof = _compared(model, original.samples, fold=options.fold)
    speed, sizes, accuracy = _measured(original, model, options, report)
    if options.out is not None:
        save_graph(model, options.out, source.info)
    kept = {c.name: "not selected" for c in candidates(dense)[0] if c.name not in {layer.name for layer in layers}}
    kept |= {d.layer: d.reason for d in found.decisions if not d.converted} if found else {}
    return Shifted(
        info=source.info,
        code=code,
        layers=rows,
        dense=kept,
        declined=candidates(dense)[1],
        attention=attention,
        error=error,
        proof=proof,
        energy=energy_of(rows, code),
        speed=speed,
        bytes=sizes,
        search=found,
        accuracy=accuracy,
        profiled=seen,
        warnings=(*source.warnings, *_warnings(rows, code)),
        out=options.out,
    )


def _sources(options: ShiftOptions, report: Report) -> tuple[Source, Source, list[str]]:
    """The model as it is, the same with additive attention where that is asked for, and what was replaced."""
    from edgevision.cache import default_cache

    replaced = list[str]()
    original = open_source(options, default_cache(), report)
    if options.attention is None:
        return original, original, replaced

    def change(loaded: Loaded) -> Loaded:
        report("attention")
        changed, names = with_additive_attention(loaded, str(options.attention), options.data)
        replaced.extend(names)
        return changed

    from edgevision.shiftadd.additive import with_additive_attention

    return original, open_source(options, default_cache(), report, change=change), replaced


def _chosen(
    source: Source, layers: Sequence[Any], code: ShiftCode, options: ShiftOptions, report: Report
) -> tuple[Found | None, frozenset[str]]:
    if options.max_drop is None:
        return None, frozenset(c.name for c in layers)
    from edgevision.cache import default_cache
    from edgevision.shiftadd.choose import Budget, choose

    budget = Budget(max_drop=options.max_drop, source=_images(source, options), images=options.images)
    settings = {
        "form": code.form,
        "bits": code.bits,
        "per_channel": options.per_channel,
        "activations": options.activations,
        "layers": [c.name for c in layers],
        "data": options.data,
    }

    def converting(model: ir.Model, names: Collection[str]) -> object:
        return _convert_in_place(model, names, code, options)

    found = choose(source.graph.model, layers, code, budget, converting, default_cache(), report, settings)
    assert found.chosen is not None
    return found, found.chosen.converted


def _images(source: Source, options: ShiftOptions) -> Any:
    from edgevision.calibration.open_data import open_data
    from edgevision.stages.quantize import image_shape

    return open_data(str(options.data), image_shape(source.graph.model), source.info.preprocess)


def _converted(
    dense: ir.Model, names: Collection[str], code: ShiftCode, options: ShiftOptions
) -> tuple[ir.Model, list[Layer]]:
    model = dense.clone()
    return model, _convert_in_place(model, names, code, options)


def _convert_in_place(model: ir.Model, names: Collection[str], code: ShiftCode, options: ShiftOptions) -> list[Layer]:
    from edgevision.shiftadd.convert import convert

    return convert(
        model, code, names, per_channel=options.per_channel, activations=options.activations, fold=options.fold
    )


def _compared(model: ir.Model, samples: Samples, *, fold: bool) -> tuple[Difference, Difference | None]:
    """The converted graph against the dense one, and packed weights against unpacked ones."""
    from edgevision.passes.dense_shifts import dense_shifts
    from edgevision.stages.samples import run_graph, worst_over

    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        outputs = run_graph(model, samples.feeds, Path(folder))
        error = worst_over(samples.outputs, outputs)
        if fold:
            return error, None
        plain = model.clone()
        dense_shifts(plain)
        proof = worst_over(run_graph(plain, samples.feeds, Path(folder)), outputs)
    if proof.max_abs_over_std > _TOLERANCE:
        raise GraphError(
            "stage shiftadd",
            f"packed weights give answers {proof.max_abs_over_std:.1e} of std away from unpacked ones",
            "report it with the model",
        )
    return error, proof


def _measured(
    source: Source, model: ir.Model, options: ShiftOptions, report: Report
) -> tuple[Speed, tuple[int, int], tuple[float, float] | None]:
    """Time in ONNX Runtime, sizes of the files, and top-1 where there is data."""
    import onnx_ir

    from edgevision.passes.unpack_shifts import unpack_shifts
    from edgevision.quantize.evaluate import evaluate
    from edgevision.quantize.judge import race
    from edgevision.targets.onnxruntime import OnnxRuntime

    report("measure")
    with tempfile.TemporaryDirectory(prefix="edgevision-") as name:
        before, after, unpacked = (Path(name) / file for file in ("dense.onnx", "shifted.onnx", "unpacked.onnx"))
        onnx_ir.save(source.graph.model, before)
        onnx_ir.save(model, after)
        fast = model.clone()
        unpack_shifts(fast)
        onnx_ir.save(fast, unpacked)
        target = OnnxRuntime(threads=1)
        with target.load(before) as dense, target.load(unpacked) as shifted:
            feed = next(iter(source.samples.feeds[0].values()))
            speed = race(dense, shifted, feed, seconds=2.0)
            accuracy = None
            if options.data is not None:
                scores = evaluate(
                    {"dense": dense, "shifted": shifted}, "dense", _images(source, options), options.images, len(feed)
                ).scores
                accuracy = tuple(100 * scores[key].figures()["top1"] for key in ("dense", "shifted"))
        sizes = before.stat().st_size, after.stat().st_size
    return speed, sizes, None if accuracy is None else (accuracy[0], accuracy[1])


def _warnings(rows: Sequence[Layer], code: ShiftCode) -> list[str]:
    """Weights that met an end of the range, counted over all layers."""
    whole = sum(row.weights for row in rows)
    said = []
    zeros, clamped, raised = (sum(getattr(row, key) for row in rows) for key in ("zeros", "clamped", "raised"))
    if zeros:
        said.append(f"{zeros:,} of {whole:,} weights are 0 and became 2^{code.least_exponent}: this form has no zero")
    if clamped:
        worst = max(rows, key=lambda row: row.clamped / row.weights)
        said.append(
            f"{clamped:,} of {whole:,} weights are above the largest code and were clamped, most of them in {worst.name} "
            f"({worst.clamped / worst.weights:.1%}): --scale per-channel brings them into range"
        )
    if raised > whole / 100:
        said.append(
            f"{raised / whole:.1%} of the weights are below the least code and were raised to it: give more bits"
        )
    return said
