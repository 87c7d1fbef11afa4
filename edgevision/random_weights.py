"""Random weights under which every part of a network matters, for proofs where no trained weights are at hand.

Freshly initialised networks hide errors: norm scales of zero switch whole branches off, running statistics of 0 and 1
make a batch norm an identity, and a scan whose steps are tiny adds next to nothing to its skip connection. Here every
tensor gets values of its own, a function of seed, name, shape and dtype alone:

    running_var                     uniform in [0.7, 1.7]
    running_mean, biases            0.1 normal
    norm scales, channel scales     1 + 0.1 normal       (one-dimensional weights, or [1, C, 1, 1])
    matrices and kernels            0.9 normal / sqrt(fan in)
    layer scales                    0.5 + 0.1 normal     (`gamma`, `layer_scale_*`: a residual branch's factor)
    A_logs                          log of uniform in [0.05, 0.5]    (long memory)
    step biases                     inverse softplus of uniform in [0.2, 1]    (steps of the order of 1)
    Ds                              0.1 normal           (a skip connection that does not drown the state)

Structural constants (parameters that do not require a gradient, and buffers other than running statistics) and
integers keep their values.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

__all__ = ["randomise_"]

_STEP_BIASES = ("dt_projs_bias", "dt_bias")


@torch.no_grad()
def randomise_(module: nn.Module, seed: int = 0) -> None:
    """Fill `module` in place by the rules above."""
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and parameter.is_floating_point():
            parameter.copy_(_rule(name, parameter.shape)(_generator(seed, name), parameter.shape))
    for name, buffer in module.named_buffers():
        last = name.rpartition(".")[2]
        if last == "running_var":
            buffer.copy_(0.7 + _uniform(_generator(seed, name), buffer.shape))
        elif last == "running_mean":
            buffer.copy_(0.1 * _normal(_generator(seed, name), buffer.shape))


def _generator(seed: int, name: str) -> Generator:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def _normal(source: Generator, shape: torch.Size) -> Tensor:
    return torch.randn(shape, generator=source)


def _uniform(source: Generator, shape: torch.Size) -> Tensor:
    return torch.rand(shape, generator=source)


def _rule(name: str, shape: torch.Size) -> Callable[[Generator, torch.Size], Tensor]:
    """What fills the parameter called `name`; the first rule that fits is taken."""
    last = name.rpartition(".")[2]
    if last in ("A_log", "A_logs"):
        return lambda g, s: torch.log(0.05 + 0.45 * _uniform(g, s))
    if last in ("D", "Ds"):
        return lambda g, s: 0.1 * _normal(g, s)
    if last in _STEP_BIASES or name.endswith("dt_proj.bias"):
        return lambda g, s: torch.log(torch.expm1(0.2 + 0.8 * _uniform(g, s)))
    if last == "gamma" or last.startswith("layer_scale"):
        return lambda g, s: 0.5 + 0.1 * _normal(g, s)
    if last.endswith("weight"):
        per_channel = len(shape) < 2 or math.prod(shape) == max(shape[:2]) == shape[1]
        if per_channel:
            return lambda g, s: 1.0 + 0.1 * _normal(g, s)
        return lambda g, s: 0.9 / math.sqrt(math.prod(s[1:])) * _normal(g, s)
    return lambda g, s: 0.1 * _normal(g, s)
