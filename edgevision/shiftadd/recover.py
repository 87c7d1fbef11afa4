"""`python -m edgevision.shiftadd.recover`: the three stages on the digits, cross-validated (`make shiftadd-digits`).

A PVT v2 of 0.1 million parameters for 32-pixel digits is trained dense; its attention is made additive and trained
further; its linear layers are shifted, or become mixtures of both primitives, and are trained further. The dense network
teaches each time: the loss is cross-entropy plus the Kullback-Leibler divergence of answers softened by a temperature of 2.
Mixtures add the latency-aware balance of their routers, whose coefficients are raced here before. Every fold is tested by
networks that have not seen it, and each figure has beside it what the same step gives without training.

With `--keep FOLDER` a run that was killed goes on where it was.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from edgevision.calibration.digits import Digits
from edgevision.models.primitive_mixture import Mixture, balance, set_dispatch, set_latencies
from edgevision.models.pvt_v2 import PyramidVisionTransformerV2
from edgevision.registry import create_model, find_variant
from edgevision.shiftadd.expert_latency import profile_mixtures, profiled_latencies
from edgevision.shiftadd.stages import additive_from, mix_, shift_
from edgevision.train.fit import FitOptions, Objective, cross_entropy, fit, predict
from edgevision.train.folds import Fold, folds
from edgevision.whole_file import whole_file

__all__ = ["CONFIG", "Recovery", "balanced", "distillation", "main", "recover_fold", "shifting"]

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
_TEMPERATURE: Final = 2.0
#: Of the routers' loss in the whole, as upstream has it.
_BALANCE: Final = 0.01

Right = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """How long each stage trains, and to how many bits weights go.

    Attributes:
        dense, additive, shifted, mixed: epochs; 0 leaves the mixture out.
        bits: of the shifted layers; each is tried from the same additive network.
        latencies: of the network with either expert alone, profiled on a target; None races the experts of each layer here.
    """

    dense: int = 8
    additive: int = 4
    shifted: int = 5
    mixed: int = 5
    bits: tuple[int, ...] = (5, 3)
    latencies: tuple[float, float] | None = None


def distillation(teacher: nn.Module) -> Objective:
    """The loss of a student of `teacher`, which is in eval mode and not trained."""

    def objective(outputs: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            taught = F.softmax(teacher(images) / _TEMPERATURE, -1)
        soft = F.kl_div(F.log_softmax(outputs / _TEMPERATURE, -1), taught, reduction="batchmean")
        return F.cross_entropy(outputs, labels, label_smoothing=0.1) + _TEMPERATURE**2 * soft

    return objective


def balanced(objective: Objective, model: nn.Module) -> Objective:
    """`objective` and the balance of the routers of `model`, which is the one in training."""

    def whole(outputs: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        return objective(outputs, images, labels) + _BALANCE * balance(model)

    return whole


def recover_fold(
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    fold: Fold,
    how: Recovery,
    report: Callable[[str], None] = lambda _: None,
    keep: Path | None = None,
) -> dict[str, Right]:
    """Train on one part of the fold; returns per step whether each image of the other part is classified rightly.

    Args:
        images: network inputs [N, 3, H, W].
        labels: [N].
        fold: which of them train and which test.
        how: see there.
        report: told each step's accuracy.
        keep: a folder for trained networks, where a run that was killed finds them again.
    """
    train, found = fold.train, dict[str, Right]()

    def score(step: str, model: nn.Module) -> None:
        found[step] = predict(model, images[fold.test]).argmax(1) == labels[fold.test]
        report(f"{step}: {100 * found[step].mean():.2f} %")

    def trained(step: str, model: nn.Module, options: FitOptions, objective: Objective = cross_entropy) -> None:
        _trained(model, images[train], labels[train], options, objective, keep and keep / f"{step}.pth")
        score(step, model)

    dense = _network("pvt_v2_b0_sra")
    trained("dense", dense, FitOptions(epochs=how.dense))
    for bits in how.bits:
        score(f"dense, {bits} bits, untrained", shift_(copy.deepcopy(dense), bits))
    additive = additive_from(dense, _network("pvt_v2_b0_linangular"), torch.from_numpy(images[train[:64]]))
    score("additive, untrained", additive)
    taught = distillation(dense.eval())
    trained("additive", additive, FitOptions(epochs=how.additive, learning_rate=2e-3), taught)
    gently = FitOptions(epochs=how.shifted, learning_rate=1e-3, weight_decay=0.0)
    for bits in how.bits:
        shifted = shift_(copy.deepcopy(additive), bits)
        score(f"shifted, {bits} bits, untrained", shifted)
        trained(f"shifted, {bits} bits", shifted, gently, taught)
    if how.mixed:
        mixed = mix_(copy.deepcopy(additive))
        if how.latencies is None:
            profile_mixtures(mixed, torch.from_numpy(images[train[:1]]))
        else:
            set_latencies(mixed, *how.latencies)
        score("mixture, untrained", mixed)
        trained("mixture", mixed, replace(gently, epochs=how.mixed), balanced(taught, mixed))
        report(f"{100 * shifting(mixed, images[fold.test]):.0f} % of the tokens are shifted")
        set_dispatch(mixed, True)
        score("mixture, dispatched", mixed)
    return found


@torch.no_grad()
def shifting(model: nn.Module, images: NDArray[np.float32]) -> float:
    """The share of tokens, over all mixtures of `model`, that go to the shifting expert."""
    counts: list[Tensor] = []

    def hook(module: nn.Module, arguments: object, logits: Tensor) -> None:
        del module, arguments
        counts.append((logits[..., 1] > logits[..., 0]).flatten().float())

    hooks = [m.gate.register_forward_hook(hook) for m in model.modules() if isinstance(m, Mixture)]
    predict(model, images)
    for one in hooks:
        one.remove()
    return float(torch.cat(counts).mean())


def _trained(
    model: nn.Module,
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    options: FitOptions,
    objective: Objective,
    file: Path | None,
) -> None:
    """Train in place, or take what `file` has kept of the same training."""
    if file is not None and file.is_file():
        model.load_state_dict(torch.load(file, weights_only=True))
        model.eval()
        return
    fit(model, images, labels, options, objective)
    if file is not None:
        with whole_file(file) as staging:
            torch.save(model.state_dict(), staging)


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
    parser.add_argument("--only", type=int, nargs="*", help="these of the folds, from 0")
    parser.add_argument("--keep", type=Path, help="a folder for trained networks")
    parser.add_argument(
        "--profiles", type=Path, nargs=2, metavar=("MULTIPLY", "SHIFT"), help="of `edgevision profile`, on the target"
    )
    given = parser.parse_args()
    how = Recovery(latencies=given.profiles and profiled_latencies(*given.profiles))
    samples = list(Digits((SIDE, SIDE), find_variant("pvt_v2_b0_sra").preprocess, indices=range(DIGITS)))
    images, labels = np.stack([s.image for s in samples]), np.asarray([s.label for s in samples], np.int64)
    answers: dict[str, list[Right]] = {}
    for index, fold in enumerate(folds(labels, given.folds, seed=0)):
        if given.only is not None and index not in given.only:
            continue
        keep = given.keep and given.keep / f"fold-{index}"
        for step, right in recover_fold(images, labels, fold, how, _tell(index), keep).items():
            answers.setdefault(step, []).append(right)
    table = {step: round(100 * float(np.concatenate(parts).mean()), 2) for step, parts in answers.items()}
    sys.stdout.write(json.dumps(table, indent=2) + "\n")


def _tell(fold: int) -> Callable[[str], None]:
    def tell(text: str) -> None:
        sys.stderr.write(f"fold {fold}: {text}\n")

    return tell


if __name__ == "__main__":
    main()
