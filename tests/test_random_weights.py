"""Random weights: reproducible, sensitive to every layer, and kind to rounding."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from edgevision.registry import create_model
from edgevision.weights import randomise_


def test_they_depend_on_the_seed_alone() -> None:
    first, second, other = (
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)),
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)),
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)),
    )
    randomise_(first, seed=1)
    torch.manual_seed(99)
    randomise_(second, seed=1)
    randomise_(other, seed=2)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])
        if tensor.is_floating_point():
            assert not torch.equal(tensor, other.state_dict()[name])


def test_they_leave_structure_alone() -> None:
    model = create_model("mobilemamba_t2")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    randomise_(model, seed=0)
    kept = {k for k, v in model.state_dict().items() if torch.equal(v, before[k])}
    assert {k.rpartition(".")[2] for k in kept} == {"wt_filter", "iwt_filter", "num_batches_tracked"}


def test_statistics_measured_on_an_example_keep_a_deep_network_awake() -> None:
    """Gates of one half kill the signal under blind statistics; measured ones let the answer depend on the image."""
    images = torch.randn((4, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    spread = []
    for example in ((), (images,)):
        model = create_model("eca_mobilenetv2")
        randomise_(model, seed=0, example=example)
        with torch.no_grad():
            logits = model(images)
        spread.append(float((logits[0] - logits[1]).abs().max() / logits.std()))
    assert spread[0] < 1e-4
    assert spread[1] > 0.3


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn((4, 3, 64, 64), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def deep(images: Tensor) -> nn.Module:
    """53 convolutions in a row."""
    model = create_model("eca_mobilenetv2")
    randomise_(model, seed=0, example=(images,))
    return model


@torch.no_grad()
def moved(model: nn.Module, before: Tensor, images: Tensor) -> float:
    return float((model(images) - before).abs().max() / before.std())


def test_a_perturbation_hardly_grows(deep: nn.Module, images: Tensor) -> None:
    """Nor does rounding, then: with norms whose outputs are centred at zero it is 205 times as large in the end."""
    deep = copy.deepcopy(deep).double()
    outputs: list[Tensor] = []
    convolutions = [m for m in deep.modules() if isinstance(m, nn.Conv2d)]
    hooks = [c.register_forward_hook(lambda _, __, y: outputs.append(y)) for c in convolutions]
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        deep(images.double())
        deep(images.double() + 1e-9 * noise)
    for hook in hooks:
        hook.remove()
    pairs = zip(outputs[: len(convolutions)], outputs[len(convolutions) :], strict=True)
    growth = [float((b - a).std() / a.std()) / 1e-9 for a, b in pairs]
    assert min(growth) > 0.1 and max(growth) < 30


def test_every_fault_of_a_percent_is_seen(deep: nn.Module, images: Tensor) -> None:
    """A hundredth more in any one layer, or one activation left out, moves the answer by ten times the tolerance."""
    images = images[:1]
    with torch.no_grad():
        before = deep(images)
    for name, module in list(deep.named_modules()):
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            with _scaled(module.weight, 1.01):
                assert moved(deep, before, images) > 1e-3, name
        elif isinstance(module, nn.ReLU6):
            parent, _, own = name.rpartition(".")
            setattr(deep.get_submodule(parent), own, nn.Identity())
            assert moved(deep, before, images) > 1e-3, name
            setattr(deep.get_submodule(parent), own, module)


@contextmanager
def _scaled(weight: Tensor, factor: float) -> Iterator[None]:
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.mul_(factor)
        yield
        weight.copy_(kept)
