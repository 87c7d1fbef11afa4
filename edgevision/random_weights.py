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

    hashing buffers                 `anchor` normal / sqrt(width), `A` normal, `mvec` exp(-1/2) + 0.02 normal: the codes
                                    then differ from token to token
    shift, sign                     2 - log2(fan in) / 2 - uniform in [0, 6], and uniform in [-1, 1]    (of power-of-two weights)

Structural constants (parameters that do not require a gradient, and buffers other than running statistics) and
integers keep their values.

Statistics drawn blindly let the signal die out in a deep network that halves it at every layer (a sigmoid gate does),
so that its answer no longer depends on the image. Given an example of the input, the running statistics are therefore
those that the batch norms meet on it, moved: var * uniform in [0.7, 1.7], and mean - (0.7 + normal) std, as trained
networks have it.

That shift decides how rounding grows. Of x + b with standard normal x, a ReLU passes the power Phi(b) of a perturbation
and leaves the variance v(b) of the signal, which the next norm makes 1 again: a layer multiplies the perturbation by
sqrt(E Phi / E v). That is 1.21 for b = 0, which in the 76 layers of Inception-v4 made 1e-3 of float32's 1e-7, and 1.08
for b = 0.7 + normal. A larger mean grows less still, but then the ReLUs behind the sums of a deep residual stage, or
before a max pooling, cut nothing: without the normal part nobody would notice that they are gone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Generator, Tensor, nn

__all__ = ["randomise_"]

_STEP_BIASES = ("dt_projs_bias", "dt_bias")
_HASHING: Mapping[str, Callable[[Tensor], Tensor]] = {
    "anchor": lambda n: n / math.sqrt(n.shape[-1]),
    "A": lambda n: n,
    "mvec": lambda n: math.exp(-0.5) + 0.02 * n,
}


@torch.no_grad()
def randomise_(module: nn.Module, seed: int = 0, example: Sequence[Tensor] = ()) -> None:
    """Fill `module` in place by the rules above.

    Args:
        module: in eval mode when an example is given.
        seed: other seeds give other values.
        example: one tensor per argument of `module`, at best a batch of several samples.
    """
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and parameter.is_floating_point():
            parameter.copy_(_rule(name, parameter.shape)(_generator(seed, name), parameter.shape))
    for name, buffer in module.named_buffers():
        last = name.rpartition(".")[2]
        if last == "running_var":
            buffer.copy_(0.7 + _uniform(_generator(seed, name), buffer.shape))
        elif last == "running_mean":
            buffer.copy_(0.1 * _normal(_generator(seed, name), buffer.shape))
        elif last in _HASHING:
            buffer.copy_(_HASHING[last](_normal(_generator(seed, name), buffer.shape)))
    if example:
        _measure_statistics(module, seed, example)


def _measure_statistics(module: nn.Module, seed: int, example: Sequence[Tensor]) -> None:
    """Run `module` once; each batch norm takes its statistics from what reaches it, before it is applied."""

    def measure(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(norm: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            x = arguments[0].detach()
            axes = [axis for axis in range(x.ndim) if axis != 1]
            var, mean = torch.var_mean(x, axes, correction=0)
            # A channel that a ReLU has silenced would otherwise be blown up to the size of the others.
            var = var.clamp_min(max(0.01 * float(var.mean()), 1e-6))
            shift = 0.7 + _normal(_generator(seed, f"{name}.running_mean"), mean.shape)
            norm.get_buffer("running_mean").copy_(mean - shift * var.sqrt())
            norm.get_buffer("running_var").copy_(
                var * (0.7 + _uniform(_generator(seed, f"{name}.running_var"), var.shape))
            )

        return hook

    norms = [(n, m) for n, m in module.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    hooks = [norm.register_forward_pre_hook(measure(name)) for name, norm in norms if norm.track_running_stats]
    try:
        module(*example)
    finally:
        for handle in hooks:
            handle.remove()


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
    if last == "shift":
        return lambda g, s: (2.0 - 0.5 * math.log2(math.prod(s[1:])) - 6.0 * _uniform(g, s)).clamp(max=0.0)
    if last == "sign":
        return lambda g, s: 2.0 * _uniform(g, s) - 1.0
    if last == "gamma" or last.startswith("layer_scale"):
        return lambda g, s: 0.5 + 0.1 * _normal(g, s)
    if last.endswith("weight"):
        per_channel = len(shape) < 2 or math.prod(shape) == max(shape[:2]) == shape[1]
        if per_channel:
            return lambda g, s: 1.0 + 0.1 * _normal(g, s)
        return lambda g, s: 0.9 / math.sqrt(math.prod(s[1:])) * _normal(g, s)
    return lambda g, s: 0.1 * _normal(g, s)
