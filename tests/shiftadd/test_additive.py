"""Attention by addition in networks that came with softmax: what is replaced, what it computes, and the fitted hashes."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor
from workspace import Command

from edgevision.errors import ModelError
from edgevision.import_timm import import_timm
from edgevision.models.angular_attention import BITS, HashAttention, HashedAttention, KernelHash
from edgevision.registry import create_model
from edgevision.shiftadd.additive import additive_attention_
from edgevision.shiftadd.hash_fit import agreement, fit_hashes_

needs_timm = pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed")


def tokens(seed: int) -> Tensor:
    """[6, 2, 48, 16]: rows of length 1 about eight centres."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(1, 2, 8, 16, generator=torch.Generator().manual_seed(7))
    x = centres.repeat(6, 1, 6, 1) + 0.5 * torch.randn(6, 2, 48, 16, generator=generator)
    return x / x.norm(dim=-1, keepdim=True)


@torch.no_grad()
def test_fitted_hashes_tell_similar_tokens_from_others() -> None:
    """On tokens that they were not fitted to, against random directions over the same anchors."""
    torch.manual_seed(0)
    fitted, plain = KernelHash(2, 16), KernelHash(2, 16)
    fit_hashes_(fitted, tokens(1))
    plain.load_state_dict({**fitted.state_dict(), "A": plain.A})
    unseen = tokens(2)
    found = [agreement(module(unseen), unseen) for module in (plain, fitted)]
    assert found[1] > found[0] + 0.03
    again = KernelHash(2, 16)
    again.load_state_dict({**again.state_dict(), "A": plain.A})
    fit_hashes_(again, tokens(1))
    assert agreement(again(unseen), unseen) > found[0] + 0.03, "from other directions too"


@torch.no_grad()
def test_the_hash_form_is_a_mean_that_counts_shared_bits() -> None:
    """Against the sum over pairs of tokens that it stands for."""
    torch.manual_seed(1)
    attention = HashAttention(32, 2)
    code, v = (torch.rand(3, 2, 11, BITS) > 0.4).float(), torch.randn(3, 2, 11, 16)
    shared = (code.unsqueeze(-2) == code.unsqueeze(-3)).sum(-1)  # of 16 bits
    weights = (2.0 * shared + 1) / (2.0 * shared + 1).sum(-1, keepdim=True)
    assert torch.allclose(attention.attend(code, v), weights @ v, atol=1e-5)


@pytest.mark.parametrize("form", ["linear-angular", "hash"])
def test_our_pvt_takes_it_in_every_stage(form: str) -> None:
    torch.manual_seed(2)
    small = {"embed_dims": [16, 32, 48, 64], "heads": [1, 2, 3, 4], "mlp_ratios": [4] * 4, "depths": [1] * 4}
    model = create_model("pvt_v2_b0_sra", num_classes=10, **small)
    q, kv = (getattr(model.block2[0].attn, name).weight.clone() for name in ("q", "kv"))
    proj = model.block2[0].attn.proj
    names = additive_attention_(model, torch.randn(4, 3, 32, 32), form)
    assert names == [f"block{i}.0.attn" for i in (1, 2, 3, 4)]
    attention = model.block2[0].attn.attention
    assert torch.equal(attention.to_qk.weight, q)
    assert torch.equal(attention.to_v.weight, kv[32:])
    assert attention.proj is proj
    outputs = [model(torch.randn(2, 3, side, side)) for side in (32, 64)]
    assert all(y.shape == (2, 10) and bool(y.isfinite().all()) for y in outputs)


def test_a_network_without_attention_is_refused() -> None:
    with pytest.raises(ModelError, match="no softmax attention of a known kind"):
        additive_attention_(torch.nn.Sequential(torch.nn.Linear(3, 4)), torch.randn(2, 3))


@needs_timm
def test_timms_vit_keeps_its_projections() -> None:
    """Queries, values and the output with their biases; keys go, hashes are fitted, the convolution waits at 0."""
    model = import_timm().create_model("test_vit", num_classes=5, depth=1, img_size=64)
    before = model.blocks[0].attn
    torch.nn.init.normal_(before.qkv.bias)
    weight, bias = (tensor.detach().clone().chunk(3) for tensor in (before.qkv.weight, before.qkv.bias))
    assert additive_attention_(model, torch.randn(4, 3, 64, 64)) == ["blocks.0.attn"]
    after = model.blocks[0].attn.attention
    for linear, part in ((after.to_qk, 0), (after.to_v, 2)):
        assert torch.equal(linear.weight, weight[part]) and torch.equal(linear.bias, bias[part])
    assert after.proj is before.proj
    assert not after.dconv.weight.any()
    fresh = KernelHash(after.heads, after.proj.in_features // after.heads)
    assert not torch.equal(after.qk_quant.ksh.mvec, fresh.mvec)


@needs_timm
def test_timms_vit_through_the_command(edgevision: Command, tmp_path: Path) -> None:
    """Attention replaced, linear layers shifted, and the file's bundle knows how images are made."""
    out = tmp_path / "shifted.onnx"
    small = ("--model-arg", "num_classes=5", "--model-arg", "depth=2", "--input-size", "64x64")
    common = (*small, "--select", "*.mlp.*", "--json")
    ended = edgevision("shiftadd", "timm:test_vit", *common, "--attention", "linear-angular", "--out", out)
    assert ended.code == 0, ended.err
    found = ended.document
    assert found["attention"] == ["blocks.0.attn", "blocks.1.attn"]
    assert len(found["layers"]) == 4
    assert found["answers"]["relative_l2_error"] > 0.01
    assert found["proof"]["max_abs_over_std"] <= 1e-4
    said = " ".join(found["warnings"])
    assert "fitted to random images" in said
    assert "answers differently until the network is trained" in said
    made = edgevision("export", "--model", out, "--target", "ort", "--out", tmp_path / "bundle", "--json")
    assert made.code == 0, made.err
    manifest = made.document["manifest"]
    assert manifest["parity"]["status"] == "verified"
    assert manifest["model"]["preprocess"]["mean"] == [0.5, 0.5, 0.5]
    assert manifest["model"]["params"] > sum(layer["weights"] for layer in found["layers"])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--attention", "loud"), "no such attention"),
        (("--attention", "hash", "--max-drop", 1, "--data", "digits"), "additive attention alone"),
    ],
)
def test_attention_that_cannot_be(edgevision: Command, options: tuple[object, ...], reason: str) -> None:
    ended = edgevision("shiftadd", "pvt_v2_b0_sra", *options, "--json")
    assert ended.code == 2
    assert reason in ended.error["reason"]


def test_a_graph_has_no_attention_to_replace(edgevision: Command, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").touch()
    ended = edgevision("shiftadd", tmp_path / "net.onnx", "--attention", "hash", "--json")
    assert ended.code == 2
    assert "does not say what its attention is" in ended.error["reason"]


def test_masked_attention_is_refused() -> None:
    from edgevision.shiftadd.additive import _InPlace

    attention: HashedAttention = HashAttention(32, 2)
    with pytest.raises(ModelError, match="it has no mask"):
        _InPlace(attention)(torch.randn(1, 4, 32), attn_mask=torch.ones(4, 4))
