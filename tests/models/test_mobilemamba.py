"""MobileMamba: the scan and the wavelet path matter, the forms agree, the distilled head and widths work."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import edgevision.models.wavelet_scan as wavelet_scan
from edgevision.models.mobilemamba import nearest_multiple_of_16
from edgevision.proof import difference
from edgevision.registry import create_model, find_variant
from edgevision.weights import randomise_

NAMES = ["mobilemamba_t2", "mobilemamba_s6", "mobilemamba_b1"]


def filled(name: str, **overrides: object) -> nn.Module:
    model = create_model(name, **overrides)
    randomise_(model, seed=0)
    return model


def image(size: int, batch: int = 1) -> Tensor:
    return torch.randn((batch, 3, size, size), generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def moved(model: nn.Module, x: Tensor, before: Tensor) -> float:
    return difference(before.numpy(), model(x).numpy()).max_abs_over_std


@pytest.mark.parametrize("name", NAMES)
def test_removing_the_recurrence_or_the_wavelets_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With our random weights both move the logits by far more than ten times the tolerance of 1e-4."""
    model, x = filled(name), image(find_variant(name).input_size[0])
    with torch.no_grad():
        before = model(x)

    def only_skip(u: Tensor, *arguments: Tensor, **options: object) -> Tensor:
        return u.repeat(1, 2, 1) * arguments[4].unsqueeze(1)

    with monkeypatch.context() as patch:
        patch.setattr(wavelet_scan, "selective_scan", only_skip)
        assert moved(model, x, before) > 0.1
    with monkeypatch.context() as patch:
        patch.setattr(wavelet_scan, "idwt", lambda bands, filters, crop: torch.zeros(1))
        assert moved(model, x, before) > 0.1


def test_directions_are_not_interchangeable(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = filled("mobilemamba_t2"), image(192)
    with torch.no_grad():
        before = model(x)
    scan = wavelet_scan.selective_scan
    monkeypatch.setattr(wavelet_scan, "selective_scan", lambda *a, **o: scan(*a, **{**o, "reverse": (0, 0)}))
    assert moved(model, x, before) > 0.05


def test_deploy_form_with_the_merged_norms_computes_the_same() -> None:
    training, merged = filled("mobilemamba_t2"), create_model("mobilemamba_t2", deploy=True)
    merged.load_state_dict(merged_state(training))
    x = image(97, batch=2)
    with torch.no_grad():
        assert difference(training(x).numpy(), merged(x).numpy()).max_abs_over_std < 1e-4


def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """The official deploy-form keys and values, worked out norm by norm, apart from the product's own folds."""
    state = dict(model.state_dict())
    for name, norm in model.named_modules():
        if not isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
            continue
        parent, _, own = name.rpartition(".")
        conv, out = {
            "bn": (f"{parent}.c", parent),
            "bn1": (f"{parent}.dwconv3x3", f"{parent}.0"),
            "bn2": (f"{parent}.dwconv1x1", f"{parent}.2"),
        }[own]
        scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()
        shift = (norm.bias - norm.running_mean * scale).detach()
        for leaf in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            del state[f"{name}.{leaf}"]
        if parent == "head":
            weight = state.pop("head.l.weight")
            state["head.weight"] = weight * scale
            state["head.bias"] = state.pop("head.l.bias") + weight @ shift
        else:
            state[f"{out}.weight"] = state.pop(f"{conv}.weight") * scale[:, None, None, None]
            state[f"{out}.bias"] = shift
    return state


def test_distillation_averages_in_eval_mode_and_returns_both_in_train_mode() -> None:
    model, x = filled("mobilemamba_t2", distillation=True, num_classes=7), image(64, batch=2)
    with torch.no_grad():
        averaged = model(x)
        pooled = model.features(x)[-1].mean((2, 3))
        assert torch.allclose(averaged, (model.head(pooled) + model.head_dist(pooled)) / 2)
        pair = model.train()(x)
    assert averaged.shape == (2, 7)
    assert [tuple(logits.shape) for logits in pair] == [(2, 7), (2, 7)]


def test_features_have_the_strides_of_the_stages() -> None:
    with torch.no_grad():
        maps = filled("mobilemamba_t2").features(image(130))
    assert [tuple(m.shape) for m in maps] == [(1, 144, 9, 9), (1, 272, 5, 5), (1, 368, 3, 3)]


@pytest.mark.parametrize(("channels", "rounded"), [(16, 16), (23, 16), (24, 32), (115, 112), (0, 0)])
def test_global_width_is_the_nearest_multiple_of_16(channels: int, rounded: int) -> None:
    assert nearest_multiple_of_16(channels) == rounded
