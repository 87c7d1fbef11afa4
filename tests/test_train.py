"""Folds divide, training learns and repeats itself, and what is shipped is what the cards say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgevision.errors import UsageError
from edgevision.registry import Variant, variants
from edgevision.spec import ZooModel
from edgevision.stages.load import LoadOptions, load
from edgevision.train.cross_validation import digit_set, folds_of
from edgevision.train.fit import FitOptions, fit, jittered, predict
from edgevision.train.folds import folds
from edgevision.weights import create_with_own_weights

OURS = [v for v in variants().values() if v.trained is not None]


def test_every_sample_is_tested_once_and_classes_are_shared_out() -> None:
    labels = np.random.default_rng(0).integers(0, 7, 503)
    made = folds(labels, 5, seed=3)
    assert np.array_equal(np.sort(np.concatenate([f.test for f in made])), np.arange(503))
    for fold in made:
        assert np.array_equal(np.sort(np.concatenate([fold.train, fold.test])), np.arange(503))
        assert len(fold.test) in (100, 101)
        per_class = np.bincount(labels[fold.test], minlength=7)
        assert np.all(np.abs(per_class - np.bincount(labels, minlength=7) / 5) < 1)
    assert not np.array_equal(made[0].test, folds(labels, 5, seed=4)[0].test)


@pytest.mark.parametrize("count", [1, 4])
def test_impossible_folds_are_refused(count: int) -> None:
    with pytest.raises(UsageError, match="rarest class has 3"):
        folds(np.array([0, 0, 0, 1, 1, 1, 1]), count, seed=0)


def stripes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy pictures, striped across or along."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    across = np.tile(np.repeat([1.0, -1.0], 4), 2)[:, None] * np.ones(16)
    images = np.where(labels[:, None, None] == 1, across, across.T) + rng.standard_normal((count, 16, 16))
    return images[:, None].astype(np.float32), labels.astype(np.int64)


def small_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 2),
    )


def test_training_learns_and_repeats_itself() -> None:
    options = FitOptions(epochs=4, turn=5.0)
    images, labels = stripes(256, 0)
    unseen, truth = stripes(256, 1)
    first, second = small_net(), small_net()
    before = (predict(first, unseen).argmax(1) == truth).mean()
    fit(first, images, labels, options)
    fit(second, images, labels, options)
    assert (predict(first, unseen).argmax(1) == truth).mean() > max(0.9, before + 0.2)
    assert not first.training
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_an_objective_is_given_the_batch_that_the_network_saw() -> None:
    images, labels = stripes(64, 0)
    net = small_net()
    seen = []

    def objective(outputs: torch.Tensor, batch: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        seen.append((tuple(batch.shape), tuple(outputs.shape), len(targets)))
        return outputs.square().mean()

    fit(net, images, labels, FitOptions(epochs=1), objective)
    assert seen == [((32, 1, 16, 16), (32, 2), 32)] * 2


def test_jitter_moves_within_bounds_and_none_leaves_images_alone() -> None:
    images = torch.zeros(16, 1, 40, 40)
    images[:, :, 18:22, 18:22] = 1.0
    still = FitOptions(turn=0.0, zoom=0.0, shift=0.0)
    assert torch.allclose(jittered(images, still, torch.Generator()), images, atol=1e-5)
    moved = jittered(images, FitOptions(turn=0.0, zoom=0.0, shift=0.1), torch.Generator().manual_seed(0))
    columns = (moved.sum((1, 2)) * torch.arange(40.0)).sum(1) / moved.sum((1, 2, 3)) - 19.5
    assert 1.0 < columns.abs().max() <= 4.01


def test_a_model_takes_its_own_weights_unless_it_is_made_another() -> None:
    own, _ = load(ZooModel("mobilemamba_digits"), LoadOptions())
    assert str(own.info.weights["source"]).startswith("mobilemamba_digits.pth, comes with edgevision")
    assert own.warnings == ()
    other, _ = load(ZooModel("mobilemamba_digits"), LoadOptions(model_args={"num_classes": 3}))
    assert str(other.info.weights["source"]).startswith("random")


@pytest.mark.parametrize("variant", OURS, ids=lambda v: v.name)
def test_shipped_weights_are_small_and_know_the_fold_they_have_not_seen(variant: Variant) -> None:
    """100 of its images: the card's accuracy is of all folds."""
    own = create_with_own_weights(variant.name)
    assert own is not None and variant.trained is not None
    model, checkpoint, source = own
    assert Path(checkpoint.path).stat().st_size < 1e6
    assert "digits" in source
    data = digit_set(variant)
    unseen = folds_of(variant, data.labels)[0].test[:100]
    right = predict(model, data.images[unseen]).argmax(1) == data.labels[unseen]
    assert right.mean() >= 0.95
    assert variant.trained.accuracy >= 97
