"""What every body of the scan has in common: the step sizes before it, the skip and the gate behind it.

Inside, tensors are [Bt, K, Dg, L]; groups next to each other that scan the same way form a run, and each run is one
state of the recurrence, so that no direction costs a flip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, function
from edgevision.ops.selective_scan.bodies.softplus import compensated
from edgevision.ops.selective_scan.reference import directions
from edgevision.ops.selective_scan.schema import ATTRIBUTES, INPUTS, NAME

__all__ = ["Frame", "Problem", "Run", "build", "problem"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """Neighbouring groups with one direction."""

    groups: int
    reverse: bool


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A signature of the scan, read: `batch` and `L` are None where dynamic."""

    batch: int | None
    K: int
    Dg: int
    N: int
    L: int | None
    shared: bool
    softplus: bool
    bias: bool
    skip: bool
    gate: bool
    runs: tuple[Run, ...]
    element_type: int

    @property
    def sizes(self) -> list[int]:
        """Groups of each run."""
        return [run.groups for run in self.runs]

    def overload(self, form: str, *details: int) -> str:
        """Name of the body: the form, and all of the signature that a body written through `build` depends on."""
        flags = {"shared": self.shared, "softplus": self.softplus, "bias": self.bias, "skip": self.skip}
        flags["gate"] = self.gate
        scans = "".join(("r" if run.reverse else "f") * run.groups for run in self.runs)
        type_ = "" if self.element_type == ir.DataType.FLOAT else f"t{self.element_type}"
        parts = [form, f"{scans}{self.Dg}n{self.N}{type_}", *map(str, details), *(f for f, on in flags.items() if on)]
        return "_".join(parts)


def problem(signature: Signature) -> Problem:
    """Read a signature; the channel dims must be static."""
    u, delta, A, B = signature.shapes[:4]
    if u is None or delta is None or A is None or B is None:
        raise GraphError(NAME, "u, delta, A and B must be given", "fix the node")
    KD, N, K = A[0], A[1], B[1]
    if KD is None or N is None or K is None or u[1] is None:
        raise GraphError(NAME, f"channels, groups and states must be static, not {KD}, {K} and {N}", "infer shapes")
    reverse = signature.attributes["reverse"]
    if not isinstance(reverse, tuple):
        raise GraphError(NAME, "reverse must be a list of ints", "fix the node's attribute")
    turned = directions(reverse, K)
    return Problem(
        batch=delta[0],
        K=K,
        Dg=KD // K,
        N=N,
        L=delta[2],
        shared=u[1] != KD,
        softplus=bool(signature.attributes["delta_softplus"]),
        bias=signature.present(6),
        skip=signature.present(5),
        gate=signature.present(7),
        runs=tuple(Run(groups=len(list(run)), reverse=back) for back, run in groupby(turned)),
        element_type=signature.element_type,
    )


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What a recurrence is written against.

    Attributes:
        r: the recorder.
        dt: step sizes and u: inputs, [Bt, K, Dg, L]; u is [Bt, 1, Dg, L] where shared.
        A: [K·Dg, N]; B, C: [Bt, K, N, L].
    """

    problem: Problem
    r: Recorder
    dt: ir.Value
    u: ir.Value
    A: ir.Value
    B: ir.Value
    C: ir.Value

    def filled(self, value: float, *dims: int) -> ir.Value:
        """[Bt, *dims] of `value`."""
        batch = self.r.op("Shape", self.dt, start=0, end=1)
        shape = self.r.concat([batch, self.r.ints(*dims)], axis=0)
        return self.r.op("ConstantOfShape", shape, value=ir.tensor([value], self.r.element_type))


def build(
    p: Problem,
    overload: str,
    recurrence: Callable[[Frame], ir.Value],
    *,
    softplus: Callable[[Recorder, ir.Value], ir.Value] = compensated,
) -> ir.Function:
    """Body around `recurrence`, which gives y of [Bt, K, Dg, L] without skip and gate."""
    r = Recorder(p.element_type)
    inputs = [ir.Value(name=t.name) for t in INPUTS]
    u, delta, A, B, C, D, bias, z = inputs
    dt = r.op("Add", delta, r.op("Unsqueeze", bias, r.ints(1))) if p.bias else delta
    dt = softplus(r, dt) if p.softplus else dt
    grouped = (0, p.K, p.Dg, -1)
    u4 = r.op("Unsqueeze", u, r.ints(1)) if p.shared else r.reshape(u, *grouped)
    y = recurrence(Frame(problem=p, r=r, dt=r.reshape(dt, *grouped), u=u4, A=A, B=B, C=C))
    if p.skip:
        y = r.op("Add", y, r.op("Mul", u4, r.reshape(D, p.K, p.Dg, 1)))
    y = r.reshape(y, 0, p.K * p.Dg, -1)
    if p.gate:
        y = r.op("Mul", y, r.op("Mul", z, r.op("Sigmoid", z)))
    return function(NAME, overload, inputs, y, ATTRIBUTES, r)
