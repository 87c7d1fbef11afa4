"""`python -m edgevision.shiftadd.recover`: the three stages on the digits, cross-validated (`make shiftadd-digits`).

A PVT v2 of 0.1 million parameters for 32-pixel digits is trained dense; its attention is made additive and trained
further; its linear layers are shifted and trained further. The dense network teaches both times: the loss is
cross-entropy plus the Kullback-Leibler divergence of answers softened by a temperature of 2. Every fold is tested by networks that have not
seen it, and each figure has beside it what the same step gives without training.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from edgevision.calibration.digits import Digits
from edgevision.models.pvt_v2 import PyramidVisionTransformerV2
from edgevision.registry import create_model, find_variant
from edgevision.shiftadd.stages import additive_from, shift_
from edgevision.train.fit import FitOptions, Objective, fit, predict
from edgevision.train.folds import Fold, folds

__all__ = ["CONFIG", "Recovery", "distillation", "main", "recover_fold"]

#: One block a stage, sixteen channels a head.
CONFIG: Mapping[str, Any] = {
    "num_classes": 10,
    "embed_dims": [16, 32, 48, 64],
    "heads": [1, 2, 3, 4],
    "mlp_ratios": [4, 4, 4, 4],
    "depths": [1, 1, 1, 1],
    "drop_path": 0.0,
}
SIDE, DIGITS = 32, 1797
_TEMPERATURE = 2.0

Right = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """How long each stage trains, and to how many bits weights go.

    Attributes:
        dense, additive, shifted: epochs.
        bits: of the shifted layers; each is tried from the same additive network.
    """

    dense: int = 8
    additive: int = 4
    shifted: int = 5
    bits: tuple[int, ...] = (5, 3)


def distillation(teacher: nn.Module) -> Objective:
    """The loss of a student of `teacher`, which is in eval mode and not trained."""

    def objective(outputs: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            taught = F.softmax(teacher(images) / _TEMPERATURE, -1)
        soft = F.kl_div(F.log_softmax(outputs / _TEMPERATURE, -1), taught, reduction="batchmean")
        return F.cross_entropy(outputs, labels, label_smoothing=0.1) + _TEMPERATURE**2 * soft

    return objective


def recover_fold(
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    fold: Fold,
    how: Recovery,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Right]:
    """Train on one part of the fold; returns per step whether each image of the other part is classified rightly."""
    train, truth, found = fold.train, labels[fold.train], dict[str, Right]()

    def score(step: str, model: nn.Module) -> None:
        found[step] = predict(model, images[fold.test]).argmax(1) == labels[fold.test]
        report(f"{step}: {100 * found[step].mean():.2f} %")

    dense = _network("pvt_v2_b0_sra")
    fit(dense, images[train], truth, FitOptions(epochs=how.dense))
    score("dense", dense)
    for bits in how.bits:
        score(f"dense, {bits} bits, untrained", shift_(copy.deepcopy(dense), bits))
    additive = additive_from(dense, _network("pvt_v2_b0_linangular"), torch.from_numpy(images[train[:64]]))
    score("additive, untrained", additive)
    taught = distillation(dense.eval())
    fit(additive, images[train], truth, FitOptions(epochs=how.additive, learning_rate=2e-3), taught)
    score("additive", additive)
    for bits in how.bits:
        shifted = shift_(copy.deepcopy(additive), bits)
        score(f"shifted, {bits} bits, untrained", shifted)
        gently = FitOptions(epochs=how.shifted, learning_rate=1e-3, weight_decay=0.0)
        fit(shifted, images[train], truth, gently, taught)
        score(f"shifted, {bits} bits", shifted)
    return found


def _network(name: str) -> PyramidVisionTransformerV2:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create_model(name, **CONFIG)
    assert isinstance(model, PyramidVisionTransformerV2)
    return model


def main() -> None:
    """Cross-validate and print the accuracies as JSON, in percent of all images tested."""
    parser = argparse.ArgumentParser(prog="python -m edgevision.shiftadd.recover", description=__doc__)
    parser.add_argument("--folds", type=int, default=5, help="of the division")
    parser.add_argument("--only", type=int, help="so many of the folds")
    given = parser.parse_args()
    samples = list(Digits((SIDE, SIDE), find_variant("pvt_v2_b0_sra").preprocess, indices=range(DIGITS)))
    images, labels = np.stack([s.image for s in samples]), np.asarray([s.label for s in samples], np.int64)
    answers: dict[str, list[Right]] = {}
    for index, fold in enumerate(folds(labels, given.folds, seed=0)[: given.only]):
        for step, right in recover_fold(images, labels, fold, Recovery(), _tell(index)).items():
            answers.setdefault(step, []).append(right)
    table = {step: round(100 * float(np.concatenate(parts).mean()), 2) for step, parts in answers.items()}
    sys.stdout.write(json.dumps(table, indent=2) + "\n")


def _tell(fold: int) -> Callable[[str], None]:
    def tell(text: str) -> None:
        sys.stderr.write(f"fold {fold}: {text}\n")

    return tell


if __name__ == "__main__":
    main()
