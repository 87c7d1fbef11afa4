"""CFSR: the merged form has its fixture, the training form merges into it, published weights and ONNX file agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgevision.models.cfsr import MASKS
from edgevision.proof import difference
from edgevision.registry import create_model, find_variant
from edgevision.weights import create_with_weights, randomise_

Read = Callable[[str | None], Mapping[str, Any]]
DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "cfsr"


def published(name: str) -> Path:
    if not (DATA / name).is_file():
        pytest.skip(f"the shared folder with {name} is absent")
    return DATA / name


def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """The four 3x3 convolutions of every feed-forward part as one, apart from the product's own folds."""
    state = {k: v.detach().clone() for k, v in model.state_dict().items()}
    for pos in [k.removesuffix(".pos.weight") for k in state if k.endswith(".pos.weight")]:
        for name in MASKS:
            state[f"{pos}.pos.weight"] += state.pop(f"{pos}.scale_{name}") * state.pop(f"{pos}.mask_{name}")
            state[f"{pos}.pos.bias"] += state.pop(f"{pos}.{name}_bias")
    return state


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_deploy_form_is_the_official_one(scale: int, golden: ModuleType, read_fixture: Read) -> None:
    variant = find_variant(f"cfsr_x{scale}")
    fixture = read_fixture(variant.deploy_golden)
    model = create_model(variant.name, deploy=True)
    assert golden.state_sha(golden.state_list(model)) == fixture["state_sha256"]
    golden.fill_(model)
    with torch.no_grad():
        y = model(golden.make_input(fixture["family"], fixture["variant"], fixture["input_shape"]))
    deviations = golden.compare(fixture["logits"], y)
    assert max(v for k, v in deviations.items() if k != "shape_ok") < 1e-4


def test_forms_agree_after_merging_and_every_mask_matters(golden: ModuleType, read_fixture: Read) -> None:
    fixture = read_fixture("cfsr_x2_train")
    training, deploy = create_model("cfsr_x2"), create_model("cfsr_x2", deploy=True)
    golden.fill_(training)
    deploy.load_state_dict(merged_state(training))
    x = golden.make_input(fixture["family"], fixture["variant"], fixture["input_shape"])
    with torch.no_grad():
        before, after = training(x).numpy(), deploy(x).numpy()
        assert difference(before, after).max_abs_over_std < 1e-5
        deviations = golden.compare(fixture["merged"]["logits"], torch.from_numpy(after))
        assert max(v for k, v in deviations.items() if k != "shape_ok") < 1e-4
        for name in MASKS:
            scale = training.get_parameter(f"layers.0.blocks.0.mlp.scale_{name}")
            kept = scale.clone()
            scale.zero_()
            assert difference(before, training(x).numpy()).max_abs_over_std > 1e-3
            scale.copy_(kept)


@pytest.mark.parametrize("size", [(33, 47), (64, 40), (9, 101)])
def test_published_weights_agree_with_the_published_onnx_file(size: tuple[int, int]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model, form, checkpoint = create_with_weights("cfsr_x2", published("CFSR_x2.pth"))
    assert (form, checkpoint.key) == ("deploy", "params")
    weights = find_variant("cfsr_x2").weights
    assert weights is not None and weights.sha256 == checkpoint.sha256
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(published("CFSRx2.onnx")), options, ["CPUExecutionProvider"])
    image = np.random.default_rng(0).random((1, 3, *size), dtype=np.float32)
    with torch.no_grad():
        ours = model(torch.from_numpy(image)).numpy()
    theirs = session.run(None, {session.get_inputs()[0].name: image})[0]
    assert difference(theirs, ours).max_abs_over_std < 1e-5


def test_x4_weights_load() -> None:
    model, form, _ = create_with_weights("cfsr_x4", published("CFSR_x4.pth"))
    assert form == "deploy"
    with torch.no_grad():
        assert model(torch.rand(1, 3, 10, 11)).shape == (1, 3, 40, 44)


def test_one_channel_has_no_mean() -> None:
    model = create_model("cfsr_x3", in_chans=1)
    randomise_(model, seed=0)
    assert not model.get_buffer("mean").any()
    with torch.no_grad():
        assert model(torch.rand(2, 1, 8, 9)).shape == (2, 1, 24, 27)
