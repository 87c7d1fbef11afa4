"""Every variant of the registry: keys, shapes and parameters; official numbers where a fixture is at hand; the smallest
of each family also with odd sizes, other batches and gradients."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgevision.proof import difference
from edgevision.registry import Variant, aliases, create_model, find_variant, variants
from edgevision.weights import randomise_

Read = Callable[[str | None], Mapping[str, Any]]
ALL = list(variants().values())
SMALLEST = [find_variant(name) for name in {aliases().get(v.family, v.family): None for v in ALL}]
#: Keys and shapes of both forms as the authors' own code (for Inception, timm) builds them, checked when they were written.
OFFICIAL = Path(__file__).with_name("official_states.json")
#: Networks with more parameters than this are run by `make test-zoo`; here they are only laid out, on the meta device.
HEAVY = 33_000_000


def marked(variants: list[Variant]) -> list[Any]:
    """Parameters for a test that runs networks forwards and backwards."""
    return [pytest.param(v, marks=[pytest.mark.zoo] if v.params > HEAVY else [], id=v.name) for v in variants]


def name_of(variant: Variant) -> str:
    return variant.name


def require(variant: Variant) -> None:
    for package in variant.requires:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


def state_sha256(model: nn.Module) -> str:
    """Of all keys and shapes, in their order, written as the golden fixtures write them."""
    lines = [f"{key}:{'x'.join(map(str, tensor.shape))}" for key, tensor in model.state_dict().items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("variant", ALL, ids=name_of)
def test_card_and_architecture_agree(variant: Variant) -> None:
    require(variant)
    config = import_module(f"edgevision.models.{variant.module}").Config
    assert set(variant.config) == {f.name for f in fields(config)}
    official = json.loads(OFFICIAL.read_text()).get(variant.name, {})
    for form, params in zip(variant.forms, (variant.params, variant.deploy_params), strict=False):
        with torch.device("meta"):
            model = create_model(variant.name, deploy=form == "deploy")
        assert params in (None, count(model))
        assert form not in official or state_sha256(model) == official[form], form


@pytest.mark.parametrize("variant", ALL, ids=name_of)
def test_keys_and_shapes_are_the_official_ones(variant: Variant, golden: ModuleType, read_fixture: Read) -> None:
    fixture = read_fixture(variant.golden)
    require(variant)
    with torch.device("meta"):
        model = create_model(variant.name, **fixture_overrides(fixture))
    assert golden.state_sha(golden.state_list(model)) == fixture["state_sha256"]
    if "deploy" in fixture:
        with torch.device("meta"):
            merged = create_model(variant.name, deploy=True)
        assert {k: list(v.shape) for k, v in merged.state_dict().items()} == {
            k: shape for k, shape, _ in fixture["deploy"]["state"]
        }


@pytest.mark.parametrize("variant", marked(ALL))
def test_outputs_are_the_official_ones(variant: Variant, golden: ModuleType, read_fixture: Read) -> None:
    fixture = read_fixture(variant.golden)
    require(variant)
    model = create_model(variant.name, **fixture_overrides(fixture))
    golden.fill_(model)
    key, shape = fixture["input_key"], fixture["input_shape"]
    with torch.no_grad():
        first, second = model(normal(golden, key, shape)), model(normal(golden, f"{key}:second", shape))
        maps = model.features(normal(golden, key, shape)) if "features" in fixture else []
    check(golden.compare(fixture["logits"], first), variant.tolerance)
    wanted = list(fixture.get("features", {}).values())
    for features, stats in zip(maps, wanted[len(wanted) - len(maps) :], strict=True):
        check(golden.compare(stats, features), variant.tolerance)
    # A hard router or hash code can flip under rounding noise: the fixture says how far the output moves then.
    noise = fixture["logits"].get("fp64_maxabs", fixture["logits"]["perturb1e-6_maxabs"])
    moved = fixture["logits"]["delta"]["std"]
    if moved > 100 * noise:  # else it is rounding noise
        check(golden.compare(fixture["logits"]["delta"], second - first), max(1e-3, 2 * noise / moved))
    if "bn2d_train" in fixture:
        golden.fill_(model)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.train()
        with torch.no_grad():
            batch = model(normal(golden, f"{key}:bn", [2, *shape[1:]]))
        check(golden.compare(fixture["bn2d_train"]["logits"], batch), 1e-3)


@pytest.mark.parametrize("variant", marked(SMALLEST))
def test_any_batch_and_odd_sizes(variant: Variant) -> None:
    """Samples do not see each other, whatever the size; and the answer depends on them."""
    model = random_model(variant)
    channels = variant.input_shape[1]
    odd = (variant.least_side + 33, variant.least_side + 1)
    images = torch.randn((3, channels, *odd), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        together = model(images)
        alone = torch.cat([model(image) for image in images.split(1)])
    assert difference(array(alone), array(together)).max_abs_over_std < 1e-4
    assert difference(array(together[:1]), array(together[1:2])).max_abs_over_std > 1e-2


@pytest.mark.parametrize("variant", marked(SMALLEST))
def test_every_parameter_gets_a_gradient(variant: Variant) -> None:
    """At twice the smallest size: on a map of one pixel a scan has no recurrence to learn."""
    model = random_model(variant).train()
    size = 2 * variant.least_side
    images = torch.randn((4, variant.input_shape[1], size, size), generator=torch.Generator().manual_seed(1))
    model(images).square().mean().backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert without == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("variant", marked(ALL))
def test_one_step_lowers_a_loss(variant: Variant) -> None:
    """From the authors' own initialisation, at the smallest input."""
    require(variant)
    torch.manual_seed(0)
    model = create_model(variant.name).train()
    size = variant.least_side
    images = torch.randn(4, variant.input_shape[1], size, size)
    target = torch.rand_like(model(images).detach())

    def loss() -> Tensor:
        torch.manual_seed(1)  # the same branches are dropped each time
        return (model(images) - target).square().mean()

    before = loss()
    before.backward()
    slope = sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 1e-4 * float(before) / slope * parameter.grad
    assert loss() < before


def random_model(variant: Variant) -> nn.Module:
    require(variant)
    model = create_model(variant.name)
    size = 2 * variant.least_side
    example = torch.randn((4, variant.input_shape[1], size, size), generator=torch.Generator().manual_seed(2))
    randomise_(model, seed=0, example=(example,))
    return model


def fixture_overrides(fixture: Mapping[str, Any]) -> dict[str, Any]:
    """What the fixture's network differs in from the released one: the ECA class defaults."""
    return {"k_size": (3, 3, 3, 3)} if "k_size=[3,3,3,3]" in fixture["entry"] else {}


def normal(golden: ModuleType, key: str, shape: list[int]) -> Tensor:
    return torch.from_numpy(golden.rng_of(key).standard_normal(size=tuple(shape), dtype=np.float32))


def check(deviations: Mapping[str, Any], tolerance: float) -> None:
    assert deviations["shape_ok"]
    assert max(deviations[k] for k in ("l2_rel", "first32_over_std", "stride32_over_std")) < tolerance


def array(tensor: Tensor) -> np.ndarray[Any, Any]:
    return tensor.detach().numpy()
