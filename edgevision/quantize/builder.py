"""Builds the INT8 forms of one float graph: calibrated once, then any choice of operators in 8 bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.cache import Cache
from edgevision.calibration.calibrators import Method, Range
from edgevision.quantize.adaround import adaround
from edgevision.quantize.bias_correction import channel_means, linear_inputs
from edgevision.quantize.calibrate import CalibrationSet, calibrate
from edgevision.quantize.insert import insert
from edgevision.quantize.noise import Noise
from edgevision.quantize.parameters import Quantized
from edgevision.quantize.plan import Plan, make_plan
from edgevision.quantize.prepare import prepared
from edgevision.quantize.recovery import Recovery
from edgevision.quantize.scan_inputs import scan_projections
from edgevision.quantize.scheme import Scheme
from edgevision.quantize.second_moments import second_moments
from edgevision.targets.onnxruntime.lowering import lower_integers

__all__ = ["Builder", "Form", "calibrated_builder"]


@dataclass(frozen=True, kw_only=True)
class Form:
    """One INT8 form.

    Attributes:
        excluded: what it leaves in float.
        plan: which operators it quantizes.
        model: the Q/DQ graph.
        kernels: whether its target is ONNX Runtime with our kernels.
    """

    excluded: tuple[str, ...]
    plan: Plan
    model: ir.Model
    kernels: bool

    @cached_property
    def lowered(self) -> ir.Model:
        """The graph as its target gets it."""
        if not self.kernels:
            return self.model
        copy = self.model.clone()
        lower_integers(copy)
        return copy


@dataclass(frozen=True, kw_only=True)
class Builder:
    """A float graph with everything its INT8 forms are made of.

    Attributes:
        model: the float graph in the form its target runs.
        scheme: of the target.
        ranges: by tensor name.
        method: of the weights' scales.
        calibrator: that the ranges were taken with.
        means: of the inputs of linear operators, where biases are corrected.
        adapted: weights that are rounded adaptively, by the name of what their operator writes.
        kept: operators that stay float in every form.
        kernels: see `Form`.
        rounded: weights that a form has been built with, for the next ones; see `insert`.
    """

    model: ir.Model
    scheme: Scheme
    ranges: Mapping[str, Range]
    method: Method
    calibrator: Method
    means: Mapping[str, NDArray[Any]] | None = None
    adapted: Mapping[str, Quantized] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    kernels: bool = False
    rounded: dict[tuple[str, float], Quantized] = field(default_factory=dict, repr=False, compare=False)

    def build(self, excluded: Sequence[str]) -> Form:
        """The form that leaves `excluded` (names and kinds of operators) in float."""
        copy = self.model.clone()
        plan = make_plan(copy, self.scheme, (*excluded, *self.kept))
        insert(copy, plan, self.scheme, self.ranges, self.method, self.means, self.adapted, self.rounded)
        return Form(excluded=tuple(excluded), plan=plan, model=copy, kernels=self.kernels)


def calibrated_builder(
    model: ir.Model,
    scheme: Scheme,
    data: CalibrationSet,
    *,
    exclude: tuple[str, ...],
    recovery: Recovery,
    cache: Cache,
    report: Callable[[str], None],
    kernels: bool = False,
) -> Builder:
    """Calibrate every tensor that any form of `model` may quantize; `kernels` is for `Form`."""
    model = prepared(model, recovery, data.source, data.limit, report)
    kept = scan_projections(model) if recovery.ssm_aware else ()
    exclude = (*exclude, *kept)
    offers = [exclude, *((*exclude, *offer) for offer in scheme.placements)]
    wanted = {str(v.name) for offer in offers for v in make_plan(model, scheme, offer).tensors}
    symmetric = scheme.activations.symmetric
    found = calibrate(model, sorted(wanted), data, symmetric=symmetric, cache=cache, report=report)
    builders = [
        Builder(
            model=model, scheme=scheme, ranges=ranges, method=weight_method(m), calibrator=m, kept=kept, kernels=kernels
        )
        for m, ranges in found.items()
    ]
    if len(builders) > 1:
        report("choose the calibrator")
    builder = _least_noise(builders, exclude, data)
    means = None
    if recovery.bias_correction:
        report("bias correction")
        linear = make_plan(model, scheme, exclude).linear
        means = channel_means(model, linear_inputs(linear), data.source, data.limit)
    adapted = dict[str, Quantized]()
    if recovery.adaround:
        report("adaptive rounding")
        adapted = _adapted(builder, exclude, data)
    return replace(builder, means=means, adapted=adapted)


def _least_noise(builders: Sequence[Builder], exclude: Sequence[str], data: CalibrationSet) -> Builder:
    """The one whose form with everything in 8 bits, to the nearest, is closest to float on the calibration set."""
    if len(builders) == 1:
        return builders[0]
    with Noise(builders[0].model, data) as noise:
        return min(builders, key=lambda builder: noise.of(builder.build(exclude).model))


def _adapted(builder: Builder, exclude: Sequence[str], data: CalibrationSet) -> dict[str, Quantized]:
    """The weights of the form with everything in 8 bits, rounded adaptively."""
    builder.build(exclude)
    nearest = {name: weight for (name, _), weight in builder.rounded.items()}
    linear = make_plan(builder.model, builder.scheme, exclude).linear
    adapted = {}
    for node, moments in second_moments(builder.model, linear, data.source, data.limit):
        name, value = str(node.outputs[0].name), node.inputs[1]
        weight = None if value is None else ir.convenience.get_const_tensor(value)
        assert weight is not None  # the plan admits constant weights only
        adapted[name] = adaround(weight.numpy(), nearest[name], moments, builder.scheme.weights.largest)
    return adapted


def weight_method(method: Method) -> Method:
    """Weights are searched for least error except where everything shall be kept."""
    return "min-max" if method == "min-max" else "mse"
