"""Hashes fitted to tokens, so that similar tokens get similar codes: kernel-based supervised hashing.

W. Liu et al., Supervised Hashing with Kernels, CVPR 2012, with the labels that EcoFormer (arXiv 2209.09004) and ShiftAddViT
take from the tokens themselves: S = 1 for the `NEIGHBOURS` tokens of a sample that are most like a token, -1 for those least
like it, 0 for the others. The bits are found one after the other, each for what the ones before it leave:

    R = bits · S;    for each bit:  y = sign(K a) with the largest yᵀ R y,    then R <- R - y yᵀ

K is the kernel of tokens and anchors. The sign is tanh for the descent, and a direction is replaced only where the true sum
has grown.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgevision.models.angular_attention import ANCHORS, BITS, KernelHash

__all__ = ["agreement", "fit_hashes_"]

NEIGHBOURS: Final = 10
#: Tokens of a sample that take part; the labels have their square.
_MOST_TOKENS, _MOST_SAMPLES = 196, 16
_STEPS, _RATE = 25, 0.15


@torch.no_grad()
def fit_hashes_(model: nn.Module, images: Tensor) -> None:
    """Fit every hash of `model` to the tokens that `images` bring to it, in the order of the blocks.

    Anchors are tokens, drawn by a fixed seed; the mean of the kernel and the directions follow. The model is left in eval
    mode.
    """
    generator = torch.Generator().manual_seed(0)

    def fit(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        assert isinstance(module, KernelHash)
        _fit_(module, arguments[0], generator)

    hooks = [m.register_forward_pre_hook(fit) for m in model.modules() if isinstance(m, KernelHash)]
    try:
        model.eval()(images)
    finally:
        for hook in hooks:
            hook.remove()


def agreement(codes: Tensor, x: Tensor) -> float:
    """How much more bits the codes of similar tokens share than those of dissimilar ones, as a share of all bits.

    Args:
        codes: 0 and 1, [B, heads, L, bits].
        x: the tokens, rows of length 1, [B, heads, L, C].
    """
    signs, labels = 2 * codes - 1, _labels(x)
    shared = signs @ signs.transpose(-2, -1) / (2 * codes.shape[-1])
    return float((labels * shared).sum() / labels.clamp(min=0).sum())


def _fit_(module: KernelHash, x: Tensor, generator: torch.Generator) -> None:
    tokens = x.transpose(0, 1).flatten(1, 2)  # [heads, samples · L, C]
    chosen = torch.randint(tokens.shape[1], (ANCHORS,), generator=generator)
    module.get_buffer("anchor").copy_(tokens[:, chosen].unsqueeze(0))
    kernel = module.kernel(x)
    module.get_buffer("mvec").copy_(kernel.mean((0, 2), keepdim=True))
    some = torch.randperm(x.shape[2], generator=generator)[:_MOST_TOKENS]
    x, kernel = x[:_MOST_SAMPLES, :, some], (kernel - module.get_buffer("mvec"))[:_MOST_SAMPLES, :, some]
    module.get_buffer("A").copy_(_directions(module.get_buffer("A"), kernel, _labels(x)))


def _labels(x: Tensor) -> Tensor:
    """[B, heads, L, L]: 1, -1 and 0."""
    alike, count = x @ x.transpose(-2, -1), min(NEIGHBOURS, x.shape[2] // 2)
    labels = torch.zeros_like(alike)
    for largest, value in ((True, 1.0), (False, -1.0)):
        labels.scatter_(-1, alike.topk(count, largest=largest).indices, value)
    return labels


def _directions(start: Tensor, kernel: Tensor, labels: Tensor) -> Tensor:
    """[heads, bits, anchors]."""
    left, found = BITS * labels, start.clone()
    for bit in range(BITS):
        before = start[:, bit]
        after = _descended(before, kernel, left)
        old, new = (_signs(kernel, a) for a in (before, after))
        grown = _captured(new, left) > _captured(old, left)
        found[:, bit] = torch.where(grown[:, None], after, before)
        y = torch.where(grown[None, :, None], new, old)
        left = left - y.unsqueeze(-1) * y.unsqueeze(-2)
    return found


def _descended(direction: Tensor, kernel: Tensor, left: Tensor) -> Tensor:
    """[heads, anchors] after some steps of Adam, of the length it had before."""
    length = direction.norm(dim=-1, keepdim=True)
    spread = (kernel @ direction[:, :, None]).std()
    with torch.enable_grad():
        a = (direction / spread).requires_grad_()
        optimizer = torch.optim.Adam([a], lr=_RATE * float(a.detach().abs().mean()))
        for _ in range(_STEPS):
            loss = -_captured(torch.tanh((kernel @ a[:, :, None]).squeeze(-1)), left).sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    found: Tensor = functional.normalize(a.detach(), dim=-1) * length
    return found


def _captured(y: Tensor, left: Tensor) -> Tensor:
    """yᵀ R y of each head, over all samples; [heads]."""
    return ((left @ y.unsqueeze(-1)).squeeze(-1) * y).sum((0, 2))


def _signs(kernel: Tensor, direction: Tensor) -> Tensor:
    return torch.where((kernel @ direction[:, :, None]).squeeze(-1) > 0, 1.0, -1.0)
