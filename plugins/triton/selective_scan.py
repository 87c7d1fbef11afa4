"""The selective scan: h_t = exp(dt_t A) h_{t-1} + dt_t B_t u_t, y_t = sum_n C_t h_t + D u_t, per channel.

The recurrence is associative: (a, x) followed by (a', x') is (a'a, a'x + x'). A program owns a few channels of one
group; it takes the length in blocks, scans each block in parallel, and carries the state of every (channel, state) pair
from one block into the next: h = (product of decays) * carried + scan. All arithmetic is float32, whatever the storage.
A group that scans from the end reads and writes position L-1-t at step t, so no flip is materialised.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["selective_scan"]


@triton.jit
def _follow(
    first_decay: tl.tensor, first_state: tl.tensor, decay: tl.tensor, state: tl.tensor
) -> tuple[tl.tensor, tl.tensor]:
    return decay * first_decay, decay * first_state + state


@triton.jit
def _softplus(x: tl.tensor) -> tl.tensor:
    # log(1 + e) loses every digit of a small e; scaling by e / (w - 1) with the rounded w = 1 + e gives them back.
    e = tl.exp(-tl.abs(x))
    w = 1.0 + e
    tail = tl.where(w == 1.0, e, tl.log(w) * (e / tl.where(w == 1.0, 1.0, w - 1.0)))
    return tl.maximum(x, 0.0) + tail


@triton.jit
def selective_scan(
    u: tl.tensor,
    delta: tl.tensor,
    A: tl.tensor,
    B: tl.tensor,
    C: tl.tensor,
    D: tl.tensor,
    delta_bias: tl.tensor,
    z: tl.tensor,
    length: tl.tensor,
    groups: tl.tensor,
    group_channels: tl.tensor,
    reverse_mask: tl.tensor,
    y: tl.tensor,
    STATES: tl.constexpr,
    STATE_BLOCK: tl.constexpr,
    SHARED_U: tl.constexpr,
    HAS_D: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    HAS_Z: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    CHANNEL_BLOCK: tl.constexpr,
    LENGTH_BLOCK: tl.constexpr,
) -> None:
    """One program: CHANNEL_BLOCK channels of one group of one sample, over the whole length."""
    channel_blocks = tl.cdiv(group_channels, CHANNEL_BLOCK)
    program = tl.program_id(0)
    group = (program // channel_blocks) % groups
    sample = (program // (channel_blocks * groups)).to(tl.int64)
    local = (program % channel_blocks) * CHANNEL_BLOCK + tl.arange(0, CHANNEL_BLOCK)
    inside = local < group_channels
    channel = group * group_channels + local
    rows = (sample * groups * group_channels + channel) * length
    u_rows = (sample * group_channels + local) * length if SHARED_U else rows
    bc_row = (sample * groups + group) * STATES * length
    backwards = ((reverse_mask >> group) & 1) == 1

    bias = tl.load(delta_bias + channel, inside, other=0.0).to(tl.float32) if HAS_BIAS else 0.0 * channel
    skip = tl.load(D + channel, inside, other=0.0).to(tl.float32) if HAS_D else 0.0 * channel
    lanes = tl.arange(0, LENGTH_BLOCK)
    states = tl.arange(0, STATE_BLOCK)
    carried = tl.zeros([CHANNEL_BLOCK, STATE_BLOCK], tl.float32)
    for start in range(0, length, LENGTH_BLOCK):
        step = start + lanes
        within = step < length
        there = inside[:, None] & within[None, :]
        t = tl.where(backwards, length - 1 - step, step)
        at = rows[:, None] + t[None, :]
        dt = tl.load(delta + at, there, other=0.0).to(tl.float32) + bias[:, None]
        if SOFTPLUS:
            dt = _softplus(dt)
        # dt = 0 past the end is the identity: decay 1, input 0.
        dt = tl.where(there, dt, 0.0)
        x = tl.load(u + u_rows[:, None] + t[None, :], there, other=0.0).to(tl.float32)
        drive = dt * x
        total = skip[:, None] * x
        for n in range(STATES):
            b = tl.load(B + bc_row + n * length + t, within, other=0.0).to(tl.float32)
            c = tl.load(C + bc_row + n * length + t, within, other=0.0).to(tl.float32)
            rate = tl.load(A + channel * STATES + n, inside, other=0.0).to(tl.float32)
            decay, state = tl.associative_scan((tl.exp(dt * rate[:, None]), drive * b[None, :]), 1, _follow)
            before = tl.sum(tl.where(states[None, :] == n, carried, 0.0), 1)
            state += decay * before[:, None]
            total += state * c[None, :]
            last = tl.sum(tl.where(lanes[None, :] == LENGTH_BLOCK - 1, state, 0.0), 1)
            carried = tl.where(states[None, :] == n, last[:, None], carried)
        if HAS_Z:
            gate = tl.load(z + at, there, other=0.0).to(tl.float32)
            total *= gate * tl.sigmoid(gate)
        tl.store(y + at, total.to(y.dtype.element_ty), there)
