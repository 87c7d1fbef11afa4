"""What is asked of a ShiftAdd conversion, and the account that it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.errors import UsageError
from edgevision.manifest import ModelInfo, as_json
from edgevision.ops.shift_code import BITS, ShiftCode
from edgevision.proof import Difference
from edgevision.stages.source import SourceOptions

if TYPE_CHECKING:
    from edgevision.quantize.judge import Speed
    from edgevision.quantize.search import Found
    from edgevision.shiftadd.convert import Layer
    from edgevision.shiftadd.energy import Energy
    from edgevision.shiftadd.on_device import Profiled

__all__ = ["ACTIVATIONS", "ADVICE", "ATTENTIONS", "FORMS", "ShiftOptions", "Shifted", "checked"]

FORMS = ("ps", "q", "apot")
ACTIVATIONS = ("float", "fixed", "int32")
ATTENTIONS = ("linear-angular", "hash")
#: Said before anything is converted. The ratios behind it are in docs/shiftadd.md.
ADVICE = (
    "shifts save no time on stock CPUs: a float multiply-add costs no more there than an add, and packed weights have "
    "to be unpacked first. What is won is size, and energy on hardware with shift units; for time use INT8 "
    "(`edgevision quantize`)"
)


@dataclass(frozen=True, kw_only=True)
class ShiftOptions(SourceOptions):
    """What to convert, and how; of the model, see `SourceOptions`.

    Attributes:
        form: `ps`, `q` or `apot`.
        bits: 2 to 8; see `edgevision.ops.shift_code`.
        zero: False bans the zero of form `q`, which saves it a bit.
        select: patterns of names, kinds or modules; none selects every layer.
        per_channel: a scale per output.
        activations: `float`, `fixed` or `int32`.
        attention: what softmax attention becomes, `linear-angular` or `hash`; None leaves it.
        fold: dense weights instead of packed ones.
        data: images that accuracy is measured on, as `--data` names them.
        images: how many at most.
        max_drop: percentage points that may be lost; layers that hurt most stay dense.
        profiles: of `edgevision profile`, of bundles of this model, whose time and energy stand beside the estimates.
        out: an `.onnx` file; None keeps nothing.
    """

    form: str = "ps"
    bits: int = 5
    zero: bool = True
    select: Sequence[str] = ()
    per_channel: bool = False
    activations: str = "float"
    attention: str | None = None
    fold: bool = False
    data: str | None = None
    images: int = 500
    max_drop: float | None = None
    profiles: Sequence[Path] = ()
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
        attention: the modules whose attention became additive.
        error: of the answers on random inputs, against the dense graph with the attention it had.
        proof: packed against unpacked weights on the same inputs; None with `fold`.
        energy: of the converted layers; None where their work is unknown.
        speed: of the converted graph against the dense one in ONNX Runtime on one thread.
        bytes: of the ONNX file, before and after.
        search: how layers were chosen; None without a budget.
        accuracy: top-1 in percent, dense and converted; None without data.
        profiled: what profiles say of time and energy on devices.
        warnings: what the user must be told.
        out: the file.
    """

    info: ModelInfo
    code: ShiftCode
    layers: Sequence[Layer]
    dense: Mapping[str, str]
    declined: Mapping[str, str]
    attention: Sequence[str]
    error: Difference
    proof: Difference | None
    energy: Energy | None
    speed: Speed
    bytes: tuple[int, int]
    search: Found | None
    accuracy: tuple[float, float] | None
    profiled: Sequence[Profiled]
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
            "attention": list(self.attention),
            "answers": {"max_abs_over_std": self.error.max_abs_over_std, "relative_l2_error": self.error.relative_l2},
            "proof": None if self.proof is None else {"max_abs_over_std": self.proof.max_abs_over_std},
            "energy_uj": None if self.energy is None else as_json(self.energy),
            "measured": as_json(self.speed),
            "profiled": as_json(self.profiled),
            "bytes": {"before": self.bytes[0], "after": self.bytes[1]},
            "accuracy": None if self.accuracy is None else {"dense": self.accuracy[0], "shifted": self.accuracy[1]},
            "warnings": list(self.warnings),
            "out": None if self.out is None else str(self.out),
        }


def checked(options: ShiftOptions) -> ShiftCode:
    """The code that the options name.

    Raises:
        UsageError: an unknown form or activations, bits outside 2 to 8, options that need or exclude each other.
    """
    _check(options)
    if options.form not in FORMS:
        raise UsageError(f"--form {options.form}", "there is no such form", f"one of: {', '.join(FORMS)}")
    if options.bits not in BITS:
        raise UsageError(f"--bits {options.bits}", "weights take 2 to 8 bits", "5 is what the papers use")
    if options.activations not in ACTIVATIONS:
        raise UsageError(
            f"--activations {options.activations}", "there are no such activations", f"one of: {', '.join(ACTIVATIONS)}"
        )
    if options.attention not in (None, *ATTENTIONS):
        raise UsageError(
            f"--attention {options.attention}", "there is no such attention", f"one of: {', '.join(ATTENTIONS)}"
        )
    if not options.zero and options.form != "q":
        raise UsageError("--no-zero", f"form {options.form} needs its zero", "leave it out, or use --form q")
    return ShiftCode(form=options.form if options.zero else "q_nonzero", bits=options.bits)


def _check(options: ShiftOptions) -> None:
    if options.out is not None and options.out.suffix != ".onnx":
        raise UsageError(f"--out {options.out}", "the converted graph is an ONNX file", "let its name end in .onnx")
    if options.attention is not None and options.max_drop is not None:
        raise UsageError(
            "--max-drop",
            "additive attention alone changes the answers by more",
            "train the network with it first (docs/shiftadd.md), and convert that",
        )
    if options.attention is not None and options.model.endswith(".onnx"):
        raise UsageError("--attention", "a graph does not say what its attention is", "name a PyTorch model")
    if options.max_drop is not None and options.data is None:
        raise UsageError("--max-drop", "it needs --data", "name the images that the drop is measured on")
    if options.max_drop is not None and options.max_drop < 0:
        raise UsageError(f"--max-drop {options.max_drop:g}", "a drop is not negative", "give percentage points from 0")
