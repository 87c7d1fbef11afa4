"""A training loop for networks of minutes: AdamW under one cycle of the learning rate, pictures jittered on the way.

The jitter is a random rotation, scale and shift of each image (bilinear, borders repeated), from a generator of its own:
the same seed gives the same run on the same machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["FitOptions", "Objective", "cross_entropy", "fit", "predict"]

#: (what the network gave for a batch, the jittered batch, its labels) -> loss; a teacher can be asked about the batch.
Objective = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How to train.

    Attributes:
        epochs: passes over the data.
        batch: images a step.
        learning_rate: the highest of the cycle.
        weight_decay: of matrices and kernels; norms and biases have none.
        seed: of the order, the jitter and dropped paths.
        turn: largest rotation, degrees.
        zoom: largest change of the scale, as a share.
        shift: largest shift, as a share of the side.
    """

    epochs: int = 10
    batch: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    seed: int = 0
    turn: float = 12.0
    zoom: float = 0.12
    shift: float = 0.08


def cross_entropy(outputs: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """Against the labels, a tenth of whose mass is spread over all classes."""
    del images
    return F.cross_entropy(outputs, labels, label_smoothing=0.1)


def fit(
    model: nn.Module,
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    options: FitOptions,
    objective: Objective = cross_entropy,
    report: Callable[[str], None] | None = None,
) -> None:
    """Train `model` in place; it is left in eval mode.

    Args:
        model: freshly initialised, or to be trained further.
        images: network inputs [N, C, H, W].
        labels: their classes [N].
        options: see there.
        objective: what is minimised.
        report: told epoch and mean loss.
    """
    inputs, targets = torch.from_numpy(images), torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(_groups(model, options), lr=options.learning_rate)
    steps = len(inputs) // options.batch
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.learning_rate, total_steps=options.epochs * steps, pct_start=0.2
    )
    generator = torch.Generator().manual_seed(options.seed)
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        for epoch in range(options.epochs):
            total = 0.0
            order = torch.randperm(len(inputs), generator=generator)
            for step in range(steps):
                chosen = order[step * options.batch : (step + 1) * options.batch]
                batch = jittered(inputs[chosen], options, generator)
                loss = objective(model(batch), batch, targets[chosen])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                cycle.step()
                total += float(loss.detach())
            if report is not None:
                report(f"epoch {epoch + 1}/{options.epochs}: loss {total / steps:.3f}")
    model.eval()


@torch.no_grad()
def predict(model: nn.Module, images: NDArray[np.float32], batch: int = 100) -> NDArray[np.float32]:
    """What `model`, in eval mode, gives for [N, C, H, W]."""
    model.eval()
    parts = [model(part) for part in torch.split(torch.from_numpy(images), batch)]
    answers: NDArray[np.float32] = torch.cat(parts).numpy()
    return answers


def jittered(images: Tensor, options: FitOptions, generator: torch.Generator) -> Tensor:
    """Each image turned, scaled and shifted by random amounts."""
    n = len(images)

    def amount(largest: float, *shape: int) -> Tensor:
        return (2 * torch.rand((n, *shape), generator=generator) - 1) * largest

    angle = amount(math.radians(options.turn))
    scale = 1 + amount(options.zoom)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    moved = amount(2 * options.shift, 2)  # grid coordinates run from -1 to 1: a side is 2
    rows = torch.stack([torch.stack([cos, -sin, moved[:, 0]], 1), torch.stack([sin, cos, moved[:, 1]], 1)], 1)
    grid = F.affine_grid(rows, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _groups(model: nn.Module, options: FitOptions) -> list[dict[str, object]]:
    """Weight decay for matrices and kernels only."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
