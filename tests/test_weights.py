"""Weights files: the wrappers, the safe loader, every error in words."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgevision.errors import ModelError
from edgevision.registry import create_model
from edgevision.weights import create_with_weights, load_checkpoint, load_into, randomise_, read_checkpoint


class Bomb:
    """A pickle that would create a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.target,))


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def state(fill: float = 1.0) -> dict[str, Tensor]:
    return {k: torch.full_like(v, int(fill)) for k, v in small().state_dict().items()}


def saved(folder: Path, content: object) -> Path:
    torch.save(content, folder / "weights.pth")
    return folder / "weights.pth"


@pytest.mark.parametrize("wrapper", ["net", "net_E", "state_dict", "model", "params"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_wrappers_and_prefix(tmp_path: Path, wrapper: str, prefix: str) -> None:
    inner = {prefix + k: v for k, v in state().items()}
    checkpoint = read_checkpoint(saved(tmp_path, {"epoch": 3, wrapper: inner, "optimizer": {"lr": 0.1}}))
    assert checkpoint.key == wrapper
    assert set(checkpoint.state) == set(state())
    assert len(checkpoint.sha256) == 64


def test_plain_file(tmp_path: Path) -> None:
    assert read_checkpoint(saved(tmp_path, state())).key is None


def test_averaged_weights_are_preferred_and_a_key_overrules(tmp_path: Path) -> None:
    path = saved(tmp_path, {"net": state(1), "net_E": state(2), "best": state(3)})
    assert float(load_checkpoint(path)["0.bias"][0]) == 2
    assert float(load_checkpoint(path, "net")["0.bias"][0]) == 1
    assert float(load_checkpoint(path, "best")["0.bias"][0]) == 3


def test_wrong_key_lists_the_keys_there(tmp_path: Path) -> None:
    path = saved(tmp_path, {"net": state(), "epoch": 3})
    for key in ("nett", "epoch"):
        with pytest.raises(ModelError) as caught:
            load_checkpoint(path, key)
        assert f"'{key}' is not a state dict" in caught.value.reason
        assert "net, epoch" in caught.value.reason


def test_malicious_pickle_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    target = tmp_path / "ran"
    for path in (saved(tmp_path, {"state_dict": state(), "x": Bomb(target)}), tmp_path / "plain.pth"):
        if not path.exists():
            path.write_bytes(pickle.dumps(Bomb(target)))
        with pytest.raises(ModelError, match="refused") as caught:
            load_checkpoint(path)
        assert str(path) in caught.value.thing
        assert not target.exists()


def test_damaged_files(tmp_path: Path) -> None:
    whole = saved(tmp_path, state())
    truncated = tmp_path / "truncated.pth"
    truncated.write_bytes(whole.read_bytes()[:-300])
    empty = tmp_path / "empty.pth"
    empty.touch()
    text = tmp_path / "text.pth"
    text.write_text("<html>not found</html>")
    archive = tmp_path / "archive.pth"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme", "hello")
    reasons = {
        truncated: "truncated",
        empty: "empty",
        text: "not a checkpoint",
        archive: "not a checkpoint",
        tmp_path: "it is a folder",
        tmp_path / "absent.pth": "no such file",
        saved(tmp_path, [1, 2]): "holds a list",
        saved(tmp_path / "..", {"epoch": 3}): "it has: epoch",
    }
    for path, reason in reasons.items():
        with pytest.raises(ModelError, match=reason) as caught:
            load_checkpoint(path)
        assert str(path) in caught.value.thing
        assert caught.value.mend


def test_safetensors(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "weights.safetensors"
    safetensors.save_file(state(), path)
    assert set(load_checkpoint(path)) == set(state())
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ModelError, match="damaged"):
        load_checkpoint(path)


def test_load_into_names_what_does_not_fit() -> None:
    model, wrong = small(), state()
    before = model.state_dict()["1.weight"].clone()
    del wrong["0.bias"]
    wrong["1.weight"] = torch.ones(5)
    wrong |= {f"extra{i}": torch.ones(1) for i in range(7)}
    with pytest.raises(ModelError) as caught:
        load_into(model, wrong)
    reason = caught.value.reason
    assert "1 missing: 0.bias" in reason
    assert "7 unexpected: extra0, extra1, extra2, extra3, extra4, …" in reason
    assert "1 mis-shaped: 1.weight (5,) instead of (2,)" in reason
    assert torch.equal(model.state_dict()["1.weight"], before)


def test_integers_are_not_taken_for_weights() -> None:
    wrong = state() | {"0.weight": torch.ones((2, 1, 3, 3), dtype=torch.int8)}
    with pytest.raises(ModelError, match=r"mis-typed: 0\.weight torch\.int8"):
        load_into(small(), wrong)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_name_the_tensor(value: float) -> None:
    damaged = state()
    damaged["1.bias"][1] = value
    with pytest.raises(ModelError, match=r"1\.bias"):
        load_into(small(), damaged)


def test_the_form_whose_keys_match_is_taken(tmp_path: Path) -> None:
    for deploy in (False, True):
        donor = create_model("mobilemamba_t2", deploy=deploy, num_classes=3)
        randomise_(donor, seed=5)
        path = saved(tmp_path, {"model": donor.state_dict()})
        model, form, checkpoint = create_with_weights("mobilemamba_t2", path, overrides={"num_classes": 3})
        assert form == ("deploy" if deploy else "training")
        assert checkpoint.key == "model"
        assert all(torch.equal(v, donor.state_dict()[k]) for k, v in model.state_dict().items())
    with pytest.raises(ModelError, match="547 missing: patch_embed"):
        create_with_weights("mobilemamba_t2", saved(tmp_path, {"model": small().state_dict()}))
