"""Quantization schemes: what a runtime on a kind of processor does well in 8 bits, as data (`schemes/*.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from edgevision.errors import UsageError

__all__ = ["Activations", "Scheme", "WeightForm", "find_scheme", "schemes"]


@dataclass(frozen=True, kw_only=True)
class Activations:
    """How activations are stored.

    Attributes:
        type: of the stored integers.
        symmetric: zero point 0 and equal reach to both sides.
        outputs: quantize what a quantized operator writes, not only what it reads: runtimes that match operators
            between a DequantizeLinear and a QuantizeLinear need it.
    """

    type: Literal["uint8", "int8"]
    symmetric: bool
    outputs: bool


@dataclass(frozen=True, kw_only=True)
class WeightForm:
    """How weights are stored; always int8 with zero point 0.

    Attributes:
        largest: magnitude in use; 64 keeps a sum of two products of u8 and s8 within 16 bits.
        per_channel: a scale per output channel; False gives a weight one scale, for runtimes that take no more.
        bias: "int32" where the runtime fuses a quantized bias, "float" where it wants it so.
    """

    largest: int
    per_channel: bool
    bias: Literal["int32", "float"]


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """One scheme.

    Attributes:
        name: of the file.
        summary: one line.
        target: name of the target it is for.
        linear: operators with constant weights that run in 8 bits.
        float_outputs: those of them that may write float.
        elementwise: operators with an 8-bit form of their own, used between quantized neighbours.
        functions: of one quantized tensor, which the target looks up in a table where our kernels run.
        layout: operators that only move values; both sides get one scale, so that no requantization is left.
        absorbed: activations that a linear operator's output quantization takes in.
        depthwise: quantize convolutions with one input channel per group.
        conv_dimensions: spatial dimensions of the convolutions that are quantized.
        least_channels: linear operators with fewer channels, in or out, stay float.
        placements: what may stay float besides, and does where it is faster so: operators or kinds of them, tried in
            this order; `depthwise` and `stem` (a convolution that reads an image) are kinds too.
        stays_float: operator (or kind of it) -> why it is not quantized, with the measurement that says so.
    """

    name: str
    summary: str
    target: str
    activations: Activations
    weights: WeightForm
    linear: tuple[str, ...]
    float_outputs: tuple[str, ...]
    elementwise: tuple[str, ...]
    functions: tuple[str, ...]
    layout: tuple[str, ...]
    absorbed: tuple[str, ...]
    depthwise: bool
    conv_dimensions: tuple[int, ...]
    least_channels: int
    placements: tuple[tuple[str, ...], ...]
    stays_float: Mapping[str, str]

    def without_tables(self) -> Scheme:
        """The same where our kernels do not run."""
        return replace(self, functions=())

    def per_tensor(self) -> Scheme:
        """The same with one scale a weight; another scheme to a baseline."""
        return replace(self, name=f"{self.name}.per_tensor", weights=replace(self.weights, per_channel=False))


@cache
def schemes() -> Mapping[str, Scheme]:
    """All schemes by name."""
    found = {}
    for entry in sorted(files("edgevision.quantize").joinpath("schemes").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml"):
            name = entry.name.removesuffix(".toml")
            found[name] = _scheme(name, tomllib.loads(entry.read_text(encoding="utf-8")))
    return found


def find_scheme(name: str, target: str) -> Scheme:
    """The scheme called `name`, which must be one for `target`.

    Raises:
        UsageError: there is none, or it is another target's.
    """
    fitting = sorted(s.name for s in schemes().values() if s.target == target)
    scheme = schemes().get(name)
    if scheme is None or scheme.target != target:
        reason = "there is no such scheme" if scheme is None else f"it is for the target {scheme.target}, not {target}"
        raise UsageError(f"--scheme {name}", reason, f"one of: {', '.join(fitting) or 'none for this target'}")
    return scheme


def _scheme(name: str, table: Mapping[str, Any]) -> Scheme:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    values["placements"] = tuple(map(tuple, table["placements"]))
    parts = {"activations": Activations(**table["activations"]), "weights": WeightForm(**table["weights"])}
    return Scheme(**{"name": name, **values, **parts})
