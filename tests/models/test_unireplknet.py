"""UniRepLKNet: training and deploy form are one function, every branch matters, a spectrogram is an image too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgevision.models.dilated_reparam import BRANCHES, DilatedReparamBlock
from edgevision.proof import difference
from edgevision.registry import create_model
from edgevision.weights import randomise_

Norm = nn.BatchNorm2d
Read = Callable[[str], Mapping[str, Any]]


def scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    assert isinstance(norm, Norm) and norm.running_var is not None and norm.running_mean is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale, norm.bias - norm.running_mean * scale


def merged_kernel(block: DilatedReparamBlock) -> tuple[Tensor, Tensor]:
    """Every branch laid into the large kernel, tap by tap."""
    scale, bias = scale_and_shift(block.origin_bn)
    kernel = block.lk_origin.weight * scale[:, None, None, None]
    centre = kernel.shape[-1] // 2
    for branch in block.branches:
        conv = block.get_submodule(f"dil_conv_{branch}")
        assert isinstance(conv, nn.Conv2d)
        scale, shift = scale_and_shift(block.get_submodule(f"dil_bn_{branch}"))
        reach, step = conv.kernel_size[0] // 2, conv.dilation[0]
        taps = slice(centre - reach * step, centre + reach * step + 1, step)
        kernel = kernel.clone()
        kernel[:, :, taps, taps] += conv.weight * scale[:, None, None, None]
        bias = bias + shift
    return kernel, bias


def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """Official deploy-form keys and values, worked out apart from the product's own folds."""
    state = dict(model.state_dict())
    for name, block in model.named_modules():
        if not hasattr(block, "pwconv2"):
            continue
        for key in [k for k in state if k.startswith(f"{name}.")]:
            if (
                any(part in key for part in (".dwconv.", ".norm.", ".gamma", ".beta", ".pwconv2."))
                and "act.1.gamma" not in key
            ):
                del state[key]
        dilated = isinstance(block.dwconv, DilatedReparamBlock)
        kernel, bias = merged_kernel(block.dwconv) if dilated else (block.dwconv.weight, torch.zeros(()))
        scale, shift = scale_and_shift(block.norm)
        target = f"{name}.dwconv.lk_origin" if dilated else f"{name}.dwconv"
        state[f"{target}.weight"] = kernel * scale[:, None, None, None]
        state[f"{target}.bias"] = bias * scale + shift
        weight = block.pwconv2[0].weight
        scale, shift = scale_and_shift(block.pwconv2[2])
        state[f"{name}.pwconv2.0.weight"] = weight * (scale * block.gamma)[:, None]
        state[f"{name}.pwconv2.0.bias"] = (weight @ block.act[1].beta.flatten() * scale + shift) * block.gamma
    return {k: v.detach() for k, v in state.items()}


def test_deploy_form_with_the_official_merge(
    golden: ModuleType, read_fixture: Callable[[str], Mapping[str, Any]]
) -> None:
    fixture = read_fixture("unireplknet_a")
    training, deploy = create_model("unireplknet_a"), create_model("unireplknet_a", deploy=True)
    golden.fill_(training)
    deploy.load_state_dict(merged_state(training))
    x = golden.make_input(fixture["family"], fixture["variant"], fixture["input_shape"])
    with torch.no_grad():
        before, after = training(x), deploy(x)
    assert difference(before.numpy(), after.numpy()).max_abs_over_std < 1e-5
    deviations = golden.compare(fixture["deploy"]["logits"], after)
    assert max(v for k, v in deviations.items() if k != "shape_ok") < 1e-4


@pytest.mark.parametrize("kernel", sorted(BRANCHES))
def test_dilated_branches_are_one_large_kernel(kernel: int) -> None:
    block = DilatedReparamBlock(4, kernel, deploy=False).eval()
    randomise_(block, seed=kernel)
    block.double()
    x = torch.randn((2, 4, 19, 23), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight, bias = merged_kernel(block)
    with torch.no_grad():
        merged = F.conv2d(x, weight, bias, padding=kernel // 2, groups=4)
        assert difference(block(x).numpy(), merged.numpy()).max_abs_over_std < 1e-12
        for branch in list(block.branches):
            block.branches.remove(branch)
            assert difference(merged.numpy(), block(x).numpy()).max_abs_over_std > 1e-2
            block.branches.append(branch)


def test_takes_a_spectrogram() -> None:
    model = create_model("unireplknet_a", in_chans=1, num_classes=527)
    randomise_(model, seed=0)
    spectrogram = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 1, 128, 256), dtype=np.float32))
    with torch.no_grad():
        assert model(spectrogram).shape == (1, 527)
        assert [tuple(m.shape[2:]) for m in model.features(spectrogram)] == [(32, 64), (16, 32), (8, 16), (4, 8)]
