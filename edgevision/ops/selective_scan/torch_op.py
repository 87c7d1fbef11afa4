"""The selective scan as a torch custom op: opaque to export (one node), with its own backward.

Time is the first axis inside, and the states are taken one at a time: a state needs three tensors of the size of
delta, whatever N is. The backward keeps only the inputs and computes the states again. With g_t = dL/dh_t,

    g_t = C_t dy_t + a_{t+1} g_{t+1},    dL/dx_t = g_t,    dL/da_t = g_t h_{t-1}

is the same recurrence run from the other end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from edgevision.errors import GraphError
from edgevision.ops.selective_scan.recurrence import recurrence
from edgevision.ops.selective_scan.reference import directions

__all__ = ["selective_scan"]

_ARGUMENTS = (
    "Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D=None, Tensor? delta_bias=None, Tensor? z=None, *, "
    "bool delta_softplus=False, int[] reverse=[0]"
)


@dataclass(frozen=True, kw_only=True)
class _Steps:
    """What both directions of differentiation start from; time first, reversed groups already turned round.

    Attributes:
        u, dt: [L, Bt, K, Dg]; raw: dt before softplus.
        A: [K, Dg, N]; B, C: [L, Bt, K, N].
        skip: u in input order, [Bt, K, Dg, L].
    """

    u: Tensor
    raw: Tensor
    dt: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    skip: Tensor
    turned: tuple[bool, ...]

    def state(self, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """Decay a, drive dt·B and state h of state `n`, each [L, Bt, K, Dg]."""
        a = torch.exp(self.dt * self.A[..., n])
        drive = self.dt * self.B[..., n, None]
        return a, drive, recurrence(a, drive * self.u)


def _turn(t: Tensor, turned: Sequence[bool]) -> Tensor:
    """Reverse time (axis 0) of the groups (axis 2) that scan from the end; its own inverse."""
    if not any(turned):
        return t
    if all(turned):
        return t.flip(0)
    return torch.stack([t[:, :, k].flip(0) if back else t[:, :, k] for k, back in enumerate(turned)], dim=2)


def _prepare(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, bias: Tensor | None, plus: bool, reverse: Sequence[int]
) -> _Steps:
    (Bt, KD, L), K, N = delta.shape, B.shape[1], A.shape[1]
    Dg = KD // K
    turned = directions(reverse, K)
    skip = u.reshape(Bt, -1, Dg, L).expand(Bt, K, Dg, L)
    raw = delta if bias is None else delta + bias[:, None]
    raw = _turn(raw.reshape(Bt, K, Dg, L).permute(3, 0, 1, 2), turned).contiguous()
    return _Steps(
        u=_turn(skip.permute(3, 0, 1, 2), turned).contiguous(),
        raw=raw,
        dt=softplus(raw) if plus else raw,
        A=A.reshape(K, Dg, N),
        B=_turn(B.permute(3, 0, 1, 2), turned),
        C=_turn(C.permute(3, 0, 1, 2), turned),
        skip=skip,
        turned=turned,
    )


def _outward(t: Tensor, turned: Sequence[bool]) -> Tensor:
    """[L, Bt, K, X] in scan order -> [Bt, K, X, L] in input order."""
    return _turn(t, turned).permute(1, 2, 3, 0)


def _ungated(s: _Steps, D: Tensor | None) -> Tensor:
    y = torch.zeros_like(s.u)
    for n in range(s.A.shape[-1]):
        y.addcmul_(s.state(n)[2], s.C[..., n, None])
    out = _outward(y, s.turned)
    return out if D is None else out + D.reshape(s.A.shape[:2])[..., None] * s.skip


@torch.library.custom_op("edgevision::selective_scan", mutates_args=(), schema=f"({_ARGUMENTS}) -> Tensor")
def _selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    delta_bias: Tensor | None = None,
    z: Tensor | None = None,
    *,
    delta_softplus: bool = False,
    reverse: Sequence[int] = (0,),
) -> Tensor:
    _check(u, delta, A, B, C, D, delta_bias, z, reverse)
    s = _prepare(u, delta, A, B, C, delta_bias, delta_softplus, reverse)
    y = _ungated(s, D).reshape(delta.shape)
    return (y if z is None else y * torch.nn.functional.silu(z)).contiguous()


@_selective_scan.register_fake
def _(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    delta_bias: Tensor | None = None,
    z: Tensor | None = None,
    *,
    delta_softplus: bool = False,  # noqa: ARG001  the signature is the op's
    reverse: Sequence[int] = (0,),
) -> Tensor:
    _check(u, delta, A, B, C, D, delta_bias, z, reverse)
    return delta.new_empty(delta.shape)


@torch.library.custom_op(
    "edgevision::selective_scan_backward",
    mutates_args=(),
    schema=f"(Tensor dy, {_ARGUMENTS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def _selective_scan_backward(
    dy: Tensor,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    delta_bias: Tensor | None = None,
    z: Tensor | None = None,
    *,
    delta_softplus: bool = False,
    reverse: Sequence[int] = (0,),
) -> tuple[Tensor, ...]:
    s = _prepare(u, delta, A, B, C, delta_bias, delta_softplus, reverse)
    dz, dD = dy.new_empty(0), dy.new_empty(0)
    if z is not None:
        gate = torch.sigmoid(z)
        dz = dy * _ungated(s, D).reshape(dy.shape) * gate * (1 + z * (1 - gate))
        dy = dy * z * gate
    inner = dy.reshape(s.skip.shape)
    du, ddt, dA, dB, dC = _through_time(s, _turn(inner.permute(3, 0, 1, 2), s.turned).contiguous())
    draw = _outward(ddt * torch.sigmoid(s.raw) if delta_softplus else ddt, s.turned).reshape(delta.shape)
    du = _outward(du, s.turned)
    if D is not None:
        du = du + D.reshape(s.A.shape[:2])[..., None] * inner
        dD = (inner * s.skip).sum((0, 3)).reshape(D.shape)
    if u.shape[1] != delta.shape[1]:
        du = du.sum(1)
    dbias = dy.new_empty(0) if delta_bias is None else draw.sum((0, 2))
    gradients = (
        du.reshape(u.shape), draw, dA.reshape(A.shape), _outward(dB, s.turned), _outward(dC, s.turned), dD, dbias, dz
    )  # fmt: skip
    return tuple(g.contiguous() for g in gradients)


def _through_time(s: _Steps, dy: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of u, dt, A, B and C, all time-first, from that of the ungated y without its skip."""
    du, ddt = torch.zeros_like(s.u), torch.zeros_like(s.u)
    dA, dB, dC = torch.empty_like(s.A), torch.empty_like(s.B), torch.empty_like(s.C)
    for n in range(s.A.shape[-1]):
        a, drive, h = s.state(n)
        later = torch.cat([a[1:], torch.zeros_like(a[:1])])
        g = recurrence(later.flip(0), (dy * s.C[..., n, None]).flip(0)).flip(0)
        dC[..., n] = (dy * h).sum(-1)
        dB[..., n] = (g * s.dt * s.u).sum(-1)
        du.addcmul_(g, drive)
        through_decay = g.clone()
        through_decay[0] = 0
        through_decay[1:].mul_(h[:-1]).mul_(a[1:])
        ddt += through_decay * s.A[..., n] + g * s.u * s.B[..., n, None]
        dA[..., n] = (through_decay * s.dt).sum((0, 1))
    return du, ddt, dA, dB, dC


@_selective_scan_backward.register_fake
def _(
    dy: Tensor,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    delta_bias: Tensor | None = None,
    z: Tensor | None = None,
    *,
    delta_softplus: bool = False,  # noqa: ARG001  the signature is the op's
    reverse: Sequence[int] = (0,),  # noqa: ARG001
) -> tuple[Tensor, ...]:
    return tuple(dy.new_empty(0 if t is None else t.shape) for t in (u, delta, A, B, C, D, delta_bias, z))


def _remember(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, Any], output: Tensor) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs)
    ctx.options = keyword_only_inputs


def _backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    inputs = ctx.saved_tensors
    gradients = torch.ops.edgevision.selective_scan_backward(dy.contiguous(), *inputs, **ctx.options)
    return tuple(None if t is None else g for t, g in zip(inputs, gradients, strict=True))


_selective_scan.register_autograd(_backward, setup_context=_remember)


def _check(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    bias: Tensor | None,
    z: Tensor | None,
    reverse: Sequence[int],
) -> None:
    """Refuse shapes that broadcasting would let through."""
    if delta.dim() != 3 or A.dim() != 2 or B.dim() != 4:
        raise GraphError("selective_scan", "delta, A and B must have 3, 2 and 4 dims", "see docs/operators.md")
    (Bt, KD, L), K, N = delta.shape, B.shape[1], A.shape[1]
    if K == 0 or KD % K:
        raise GraphError("selective_scan", f"{KD} channels do not split into the {K} groups of B", "fix B or delta")
    wanted = {
        "A": (A, (KD, N)),
        "B": (B, (Bt, K, N, L)),
        "C": (C, (Bt, K, N, L)),
        "D": (D, (KD,)),
        "delta_bias": (bias, (KD,)),
        "z": (z, (Bt, KD, L)),
        "u": (u, (Bt, KD if u.shape[1] == KD else KD // K, L)),
    }
    for name, (tensor, shape) in wanted.items():
        if tensor is not None and tuple(tensor.shape) != shape:
            raise GraphError(
                "selective_scan", f"{name} has shape {tuple(tensor.shape)}, not {shape}", "see docs/operators.md"
            )
    if tuple(reverse) != (0,) and len(reverse) != K:
        raise GraphError("selective_scan", f"reverse has {len(reverse)} entries for {K} groups", "give one per group")


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    delta_bias: Tensor | None = None,
    z: Tensor | None = None,
    *,
    delta_softplus: bool = False,
    reverse: Sequence[int] = (0,),
) -> Tensor:
    """h_t = exp(dt_t A) h_{t-1} + dt_t B_t u_t,  y_t = C_t·h_t + D u_t, per channel and group.

    Args:
        u: [Bt, K·Dg, L], or [Bt, Dg, L] shared by the K groups.
        delta: [Bt, K·Dg, L]; dt = delta + delta_bias, through softplus when `delta_softplus`.
        A: [K·Dg, N], negative (already -exp(A_log)).
        B, C: [Bt, K, N, L].
        D, delta_bias: [K·Dg].
        z: [Bt, K·Dg, L], a gate: the result is y·silu(z).
        reverse: one entry per group; 1 scans that group from the end. (0,) is forward for all.

    Returns:
        [Bt, K·Dg, L] in the input's order, groups not summed.
    """
    result: Tensor = torch.ops.edgevision.selective_scan.default(
        u, delta, A, B, C, D, delta_bias, z, delta_softplus=delta_softplus, reverse=list(reverse)
    )
    return result
