"""ShiftAdd conversion as a whole: a model or graph in, a graph with shifted layers and an account of it out."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.errors import GraphError, UsageError
from edgevision.manifest import ModelInfo, as_json
from edgevision.ops.shift_code import BITS, ShiftCode
from edgevision.proof import Difference
from edgevision.stages.timing import Report, unreported
from edgevision.whole_file import whole_file

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevision.deploy import MergedGraph
    from edgevision.quantize.judge import Speed
    from edgevision.quantize.search import Found
    from edgevision.shiftadd.convert import Layer
    from edgevision.shiftadd.energy import Energy
    from edgevision.stages.samples import Samples

__all__ = ["ACTIVATIONS", "ADVICE", "FORMS", "ShiftOptions", "Shifted", "shift_model"]

FORMS = ("ps", "q", "apot")
ACTIVATIONS = ("float", "fixed")
#: Said before anything is converted. The ratios behind it are in docs/shiftadd.md.
ADVICE = (
    "shifts save no time on stock CPUs: a float multiply-add costs no more there than an add, and packed weights have "
    "to be unpacked first. What is won is size, and energy on hardware with shift units; for time use INT8 "
    "(`edgevision quantize`)"
)
#: Packed and unpacked weights are the same numbers; only the order of float32 sums may differ.
_TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class ShiftOptions:
    """What to convert, and how.

    Attributes:
        model: zoo name, timm name, factory or ONNX file; the next four as in every command.
        form: `ps`, `q` or `apot`.
        bits: 2 to 8; see `edgevision.ops.shift_code`.
        zero: False bans the zero of form `q`, which saves it a bit.
        select: patterns of names, kinds or modules; none selects every layer.
        per_channel: a scale per output.
        activations: `float` or `fixed`.
        fold: dense weights instead of packed ones.
        data: images that accuracy is measured on, as `--data` names them.
        images: how many at most.
        max_drop: percentage points that may be lost; layers that hurt most stay dense.
        out: an `.onnx` file; None keeps nothing.
    """

    model: str
    weights: Path | None = None
    weights_key: str | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)
    input_size: tuple[int, int] | None = None
    form: str = "ps"
    bits: int = 5
    zero: bool = True
    select: Sequence[str] = ()
    per_channel: bool = False
    activations: str = "float"
    fold: bool = False
    data: str | None = None
    images: int = 500
    max_drop: float | None = None
    out: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Shifted:
    """The account of a conversion.

    Attributes:
        info: of the model.
        code: what weights became.
        layers: converted ones, in the graph's order.
        dense: convertible layers that stayed dense, with the reason.
        declined: layers that cannot be converted, with the reason.
        error: of the answers on random inputs, against the dense graph.
        proof: packed against unpacked weights on the same inputs; None with `fold`.
        energy: of the converted layers; None where their work is unknown.
        speed: of the converted graph against the dense one in ONNX Runtime on one thread.
        bytes: of the ONNX file, before and after.
        search: how layers were chosen; None without a budget.
        accuracy: top-1 in percent, dense and converted; None without data.
        warnings: what the user must be told.
        out: the file.
    """

    info: ModelInfo
    code: ShiftCode
    layers: Sequence[Layer]
    dense: Mapping[str, str]
    declined: Mapping[str, str]
    error: Difference
    proof: Difference | None
    energy: Energy | None
    speed: Speed
    bytes: tuple[int, int]
    search: Found | None
    accuracy: tuple[float, float] | None
    warnings: Sequence[str]
    out: Path | None

    def as_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "model": self.info.variant,
            "form": self.code.form,
            "bits": self.code.bits,
            "stored_bits": self.code.width,
            "layers": as_json(self.layers),
            "dense": dict(self.dense),
            "declined": dict(self.declined),
            "answers": {"max_abs_over_std": self.error.max_abs_over_std, "relative_l2_error": self.error.relative_l2},
            "proof": None if self.proof is None else {"max_abs_over_std": self.proof.max_abs_over_std},
            "energy_uj": None if self.energy is None else as_json(self.energy),
            "measured": as_json(self.speed),
            "bytes": {"before": self.bytes[0], "after": self.bytes[1]},
            "accuracy": None if self.accuracy is None else {"dense": self.accuracy[0], "shifted": self.accuracy[1]},
            "warnings": list(self.warnings),
            "out": None if self.out is None else str(self.out),
        }


def code_of(options: ShiftOptions) -> ShiftCode:
    """The code that the options name.

    Raises:
        UsageError: an unknown form or activations, bits outside 2 to 8, no zero in a form that cannot do without.
    """
    if options.form not in FORMS:
        raise UsageError(f"--form {options.form}", "there is no such form", f"one of: {', '.join(FORMS)}")
    if options.bits not in BITS:
        raise UsageError(f"--bits {options.bits}", "weights take 2 to 8 bits", "5 is what the papers use")
    if options.activations not in ACTIVATIONS:
        raise UsageError(
            f"--activations {options.activations}", "there are no such activations", f"one of: {', '.join(ACTIVATIONS)}"
        )
    if not options.zero and options.form != "q":
        raise UsageError("--no-zero", f"form {options.form} needs its zero", "leave it out, or use --form q")
    return ShiftCode(form=options.form if options.zero else "q_nonzero", bits=options.bits)


def shift_model(options: ShiftOptions, *, report: Report = unreported) -> Shifted:
    """Load, merge, convert, measure; the result is written whole or not at all.

    Raises:
        EdgeError: of the stage that failed.
    """
    from edgevision.deploy import MergeOptions, merged_graph
    from edgevision.shiftadd.candidates import candidates
    from edgevision.shiftadd.choose import selected
    from edgevision.shiftadd.energy import energy_of
    from edgevision.spec import parse_model

    code = code_of(options)
    _check(options)
    source = merged_graph(
        parse_model(options.model),
        MergeOptions(
            model=options.model,
            weights=options.weights,
            weights_key=options.weights_key,
            model_args=options.model_args,
            input_size=options.input_size,
        ),
        report,
    )
    dense = source.graph.model
    layers = selected(dense, options.select)
    found, names = _chosen(source, layers, code, options, report)
    report("convert")
    model, rows = _converted(dense, names, code, options)
    report("compare")
    error, proof = _compared(model, source.samples, fold=options.fold)
    speed, sizes, accuracy = _measured(source, model, options, report)
    if options.out is not None:
        _write(model, options.out)
    kept = {c.name: "not selected" for c in candidates(dense)[0] if c.name not in {layer.name for layer in layers}}
    kept |= {d.layer: d.reason for d in found.decisions if not d.converted} if found else {}
    return Shifted(
        info=source.info,
        code=code,
        layers=rows,
        dense=kept,
        declined=candidates(dense)[1],
        error=error,
        proof=proof,
        energy=energy_of(rows, code),
        speed=speed,
        bytes=sizes,
        search=found,
        accuracy=accuracy,
        warnings=(*source.warnings, *_warnings(rows, code)),
        out=options.out,
    )


def _check(options: ShiftOptions) -> None:
    if options.out is not None and options.out.suffix != ".onnx":
        raise UsageError(f"--out {options.out}", "the converted graph is an ONNX file", "let its name end in .onnx")
    if options.max_drop is not None and options.data is None:
        raise UsageError("--max-drop", "it needs --data", "name the images that the drop is measured on")
    if options.max_drop is not None and options.max_drop < 0:
        raise UsageError(f"--max-drop {options.max_drop:g}", "a drop is not negative", "give percentage points from 0")


def _chosen(
    source: MergedGraph, layers: Sequence[Any], code: ShiftCode, options: ShiftOptions, report: Report
) -> tuple[Found | None, frozenset[str]]:
    if options.max_drop is None:
        return None, frozenset(c.name for c in layers)
    from edgevision.cache import default_cache
    from edgevision.shiftadd.choose import Budget, choose

    budget = Budget(max_drop=options.max_drop, source=_source(source, options), images=options.images)
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


def _source(source: MergedGraph, options: ShiftOptions) -> Any:
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
    source: MergedGraph, model: ir.Model, options: ShiftOptions, report: Report
) -> tuple[Speed, tuple[int, int], tuple[float, float] | None]:
    """Time in ONNX Runtime, sizes of the files, and top-1 where there is data."""
    import onnx_ir

    from edgevision.quantize.evaluate import evaluate
    from edgevision.quantize.judge import race
    from edgevision.targets.onnxruntime import OnnxRuntime

    report("measure")
    with tempfile.TemporaryDirectory(prefix="edgevision-") as name:
        before, after = Path(name) / "dense.onnx", Path(name) / "shifted.onnx"
        onnx_ir.save(source.graph.model, before)
        onnx_ir.save(model, after)
        target = OnnxRuntime(threads=1)
        with target.load(before) as dense, target.load(after) as shifted:
            feed = next(iter(source.samples.feeds[0].values()))
            speed = race(dense, shifted, feed, seconds=2.0)
            accuracy = None
            if options.data is not None:
                scores = evaluate(
                    {"dense": dense, "shifted": shifted}, "dense", _source(source, options), options.images, len(feed)
                ).scores
                accuracy = tuple(100 * float(scores[key].top1.mean()) for key in ("dense", "shifted"))
        sizes = before.stat().st_size, after.stat().st_size
    return speed, sizes, None if accuracy is None else (accuracy[0], accuracy[1])


def _write(model: ir.Model, out: Path) -> None:
    import onnx_ir

    with whole_file(out) as staging:
        onnx_ir.save(model, staging)


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
