"""A mixture of two primitives (ShiftAddViT, arXiv 2306.06446): every token goes to a multiplying or to a shifting expert.

    y = log(exp(expert_i(x)) + 2.2e-16),    i = argmax(gate(x))

The logarithm is upstream's way of adding up experts; with one expert chosen it only keeps y above -36. Both experts run
on all tokens and a Where picks, so that shapes stay fixed. `set_dispatch` sends each token to its expert alone: half the
work, with shapes that depend on the image, for runtimes that take those (PyTorch and ONNX Runtime do).

In training, noise on the logits makes the load differentiable, and `balance` holds the latency-aware loss

    cv²(a · importance) + cv²(a · load),    a = the experts' latencies, as shares of their sum

whose minimum sends tokens in inverse proportion to what they cost: a faster expert gets more.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

from edgevision.errors import ModelError

__all__ = ["LEAST", "Mixture", "Router", "balance", "combined", "set_dispatch", "set_latencies"]

#: Upstream adds the least step of float64 to exp(y).
LEAST: Final = math.log(2.0**-52)


def combined(y: Tensor) -> Tensor:
    """log(exp(y) + 2^-52) without the overflow of exp."""
    return y + nn.functional.softplus(LEAST - y)


class Router(nn.Module):
    """Logits of the experts per token, and in training the loss that balances their load.

    Attributes:
        noise: standard deviation of what is added to the logits in train mode; 0 makes it deterministic there too.
        latency: share of each expert in the sum of their latencies, from a profile.
        balance: the loss of the last pass in train mode, None before it.
    """

    def __init__(self, features: int, experts: int = 2) -> None:
        super().__init__()
        self.gate = nn.Linear(features, experts)
        self.noise = 1.0 / experts
        self.latency = (1.0 / experts,) * experts
        self.balance: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.gate(x)
        if not self.training or self.noise == 0.0:
            return logits
        if torch.compiler.is_exporting():
            raise ModelError(
                "router", "it is in train mode, where it adds noise to its logits", "call model.eval() before exporting"
            )
        noisy = logits + torch.randn_like(logits) * self.noise
        self.balance = self._loss(logits, noisy)
        return noisy

    def set_latencies(self, multiply: float, shift: float) -> None:
        """The latencies of the two experts, in any unit; they come from a profile of the target."""
        self.latency = (multiply / (multiply + shift), shift / (multiply + shift))

    def _loss(self, logits: Tensor, noisy: Tensor) -> Tensor:
        flat, seen = logits.flatten(0, -2), noisy.flatten(0, -2)
        share = torch.tensor(self.latency, device=logits.device, dtype=logits.dtype)
        importance = flat.softmax(-1).sum(0)
        # The chance that an expert stays in front of the best other one when its noise is drawn again.
        others = (
            seen.unsqueeze(1)
            .expand(-1, seen.shape[1], -1)
            .masked_fill(torch.eye(seen.shape[1], dtype=torch.bool, device=seen.device), -math.inf)
        )
        load = torch.special.ndtr((flat - others.amax(-1)) / self.noise).sum(0)
        return _variation(share * importance) + _variation(share * load)


def _variation(x: Tensor) -> Tensor:
    """The squared coefficient of variation."""
    return x.var() / (x.mean().square() + 1e-10)


class Mixture(nn.Module):
    """[..., K] -> [..., N]: `experts[0]` multiplies, `experts[1]` shifts.

    Attributes:
        dispatch: compute each token by its own expert only.
    """

    def __init__(self, features: int, multiply: nn.Module, shift: nn.Module) -> None:
        super().__init__()
        self.dispatch = False
        self.gate = Router(features)
        self.experts = nn.ModuleList([multiply, shift])

    def forward(self, x: Tensor) -> Tensor:
        logits = self.gate(x)
        chosen = logits[..., 1:] > logits[..., :1]
        if self.dispatch:
            y = self._dispatched(x, chosen)
        else:
            y = torch.where(chosen, self.experts[1](x), self.experts[0](x))
        if self.training:  # lets the task's loss reach the router; the factor is 1
            share = logits.softmax(-1).amax(-1, keepdim=True)
            y = y * (share / share.detach())
        return combined(y)

    def _dispatched(self, x: Tensor, chosen: Tensor) -> Tensor:
        tokens, shift = x.flatten(0, -2), chosen.flatten()
        places = [mask.nonzero().squeeze(1) for mask in (~shift, shift)]
        parts = [expert(tokens.index_select(0, at)) for expert, at in zip(self.experts, places, strict=True)]
        back = torch.cat(places).argsort()
        return torch.cat(parts).index_select(0, back).reshape(*x.shape[:-1], parts[0].shape[-1])


def set_dispatch(model: nn.Module, dispatch: bool) -> None:
    """Let every mixture of `model` send tokens to their experts, or compute both and pick."""
    for module in model.modules():
        if isinstance(module, Mixture):
            module.dispatch = dispatch


def set_latencies(model: nn.Module, multiply: float, shift: float) -> None:
    """Give every router of `model` the latencies of its experts, in any unit; they come from a profile of the target."""
    for module in model.modules():
        if isinstance(module, Router):
            module.set_latencies(multiply, shift)


def balance(model: nn.Module) -> Tensor:
    """The latency-aware loss of all routers of `model`, of its last pass in train mode; 0 where none has one."""
    losses = [m.balance for m in model.modules() if isinstance(m, Router) and m.balance is not None]
    return torch.stack(losses).sum() if losses else torch.zeros(())
