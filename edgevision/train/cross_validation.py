"""Cross-validated training of a zoo model on scikit-learn's digits, one checkpoint per fold.

All networks of a model start alike and are trained alike; each is tested on the fold it has not seen, as its float16
checkpoint gives it back. `python -m edgevision.train` (`make train-digits`) runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgevision.calibration.digits import Digits
from edgevision.errors import ModelError
from edgevision.registry import Trained, Variant, create_model, find_variant
from edgevision.train.fit import FitOptions, Objective, cross_entropy, fit, predict
from edgevision.train.folds import Fold, folds
from edgevision.weights import load_checkpoint, load_into
from edgevision.whole_file import whole_file

__all__ = ["DigitSet", "checkpoint_of", "cross_validate", "digit_set", "folds_of", "load_fold", "save_half"]


@dataclass(frozen=True, kw_only=True)
class DigitSet:
    """All 1,797 digits in the data set's own order: network inputs [N, C, H, W], and labels [N]."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


def digit_set(variant: Variant) -> DigitSet:
    """The digits as inputs of `variant`."""
    size = variant.input_size
    samples = list(Digits(size, variant.preprocess, indices=range(1797)))
    return DigitSet(
        images=np.stack([s.image for s in samples]), labels=np.asarray([s.label for s in samples], np.int64)
    )


def folds_of(variant: Variant, labels: NDArray[np.int64]) -> tuple[Fold, ...]:
    """The folds of the card; the network of the first one is what comes with edgevision."""
    return folds(labels, _trained(variant).folds, _trained(variant).seed)


def checkpoint_of(folder: Path, variant: Variant, fold: int) -> Path:
    """Where `cross_validate` leaves the network of a fold."""
    return folder / f"{variant.name}-fold{fold}.pth"


def cross_validate(
    name: str,
    folder: Path,
    options: FitOptions | None = None,
    objective: Objective = cross_entropy,
    report: Callable[[str], None] = lambda _: None,
) -> NDArray[np.bool_]:
    """Train one network per fold of `name`'s card and leave them in `folder`; those already there are kept.

    Returns:
        For each image of the data set, whether the network that has not seen it is right.
    """
    variant = find_variant(name)
    seed = _trained(variant).seed
    data = digit_set(variant)
    right = np.zeros(len(data.labels), bool)
    for index, fold in enumerate(folds_of(variant, data.labels)):
        path = checkpoint_of(folder, variant, index)
        if not path.is_file():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                model = create_model(variant.name)
            how = replace(options or FitOptions(), seed=seed)
            report(f"{variant.name} fold {index}")
            fit(model, data.images[fold.train], data.labels[fold.train], how, objective, report)
            save_half(model, path)
        answers = predict(load_fold(variant, folder, index), data.images[fold.test])
        right[fold.test] = answers.argmax(1) == data.labels[fold.test]
        report(f"{variant.name} fold {index}: {right[fold.test].mean():.2%} of {len(fold.test)}")
    return right


def load_fold(variant: Variant, folder: Path, fold: int) -> nn.Module:
    """The network of a fold, in eval mode."""
    path = checkpoint_of(folder, variant, fold)
    model = create_model(variant.name)
    load_into(model, load_checkpoint(path), path.name)
    return model


def save_half(model: nn.Module, path: Path) -> None:
    """Write the state dict with float16 in place of float32: half the size, and nothing that 8 bits would keep."""
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    with whole_file(path) as temporary:
        torch.save(state, temporary)


def _trained(variant: Variant) -> Trained:
    if variant.trained is None:
        raise ModelError(f"model '{variant.name}'", "its card has no [variants.trained]", "add data, seed and folds")
    return variant.trained
