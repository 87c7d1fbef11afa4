"""The three stages: what each takes over from the one before, and that training recovers what rounding lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgevision.calibration.digits import Digits
from edgevision.models.angular_attention import LinearAngularAttention
from edgevision.models.primitive_mixture import Router, balance
from edgevision.models.shift_linear import ShiftLinear
from edgevision.ops.shift_code import ShiftCode
from edgevision.passes.tidy import tidy
from edgevision.registry import create_model, find_variant
from edgevision.shiftadd import expert_latency, recover
from edgevision.shiftadd.candidates import candidates
from edgevision.shiftadd.convert import convert
from edgevision.shiftadd.recover import CONFIG, SIDE, Recovery, balanced, recover_fold
from edgevision.shiftadd.stages import additive_from, mix_, shift_
from edgevision.train.fit import cross_entropy
from edgevision.train.folds import Fold


def test_stages_take_weights_over() -> None:
    torch.manual_seed(0)
    dense, additive = (create_model(f"pvt_v2_b0_{form}", **CONFIG) for form in ("sra", "linangular"))
    images = torch.randn(8, 3, SIDE, SIDE)
    additive_from(dense, additive, images)
    attention, old = additive.block1[0].attn, dense.block1[0].attn
    assert isinstance(attention, LinearAngularAttention)
    assert torch.equal(attention.to_qk.weight, old.q.weight)
    assert torch.equal(attention.to_v.weight, old.kv.weight[16:])
    assert torch.equal(additive.block4[0].attn.qkv.weight[64:], dense.block4[0].attn.kv.weight)
    assert torch.equal(additive.head.weight, dense.head.weight)
    codes: list[torch.Tensor] = []
    attention.qk_quant.register_forward_hook(lambda _, __, code: codes.append(code))
    with torch.no_grad():
        before = additive(images)
        mean = codes[0].mean((0, 1, 2))
        assert ((mean > 0.02) & (mean < 0.98)).sum() >= 8, "most bits of the code must tell tokens apart"
        shift_(additive)
        assert sum(isinstance(m, ShiftLinear) for m in additive.modules()) == 19
        assert not torch.equal(additive(images), before)
    mixed = mix_(create_model("pvt_v2_b0_linangular", **CONFIG))
    names = {name for name, _ in mixed.named_parameters()}
    assert {"block1.0.mlp.fc1.gate.gate.weight", "block1.0.mlp.fc1.experts.1.shift"} <= names


def test_a_trained_shift_layer_becomes_the_operator_without_loss() -> None:
    torch.manual_seed(1)
    program = torch.onnx.export(
        torch.nn.Sequential(ShiftLinear(24, 9)).eval(), (torch.randn(3, 24),), dynamo=True, optimize=False, opset_version=20,
        verbose=False,
    )  # fmt: skip
    assert program is not None
    model = program.model
    tidy(model)
    (row,) = convert(model, ShiftCode(form="ps", bits=5), [c.name for c in candidates(model)[0]])
    assert row.error == 0.0


def test_training_recovers_what_three_bits_lose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a part of the digits, for a few steps; docs/shiftadd.md has the cross-validated figures."""
    monkeypatch.setattr(expert_latency, "expert_latencies", lambda *_, **__: (1.0, 1.5))
    how = find_variant("pvt_v2_b0_sra").preprocess
    samples = list(Digits((SIDE, SIDE), how, indices=range(600)))
    images, labels = np.stack([s.image for s in samples]), np.asarray([s.label for s in samples], np.int64)
    fold = Fold(train=np.arange(480), test=np.arange(480, 600))
    options, said = Recovery(dense=5, additive=1, shifted=3, mixed=1, bits=(3,)), list[str]()
    found = recover_fold(images, labels, fold, options, said.append, tmp_path)
    right = {step: float(answers.mean()) for step, answers in found.items()}
    assert right["dense"] > 0.7
    assert right["shifted, 3 bits, untrained"] < right["dense"] - 0.3
    assert right["shifted, 3 bits"] > right["shifted, 3 bits, untrained"] + 0.2
    assert right["additive"] == pytest.approx(right["dense"], abs=0.2)
    assert right["mixture"] == pytest.approx(right["dense"], abs=0.2)
    assert np.array_equal(found["mixture"], found["mixture, dispatched"])
    (share,) = (int(line.split()[0]) for line in said if line.endswith("of the tokens are shifted"))
    assert 5 < share < 95, "both primitives are used"
    monkeypatch.setattr(recover, "fit", lambda *_: pytest.fail("what was kept is trained again"))
    monkeypatch.setattr(recover, "set_latencies", lambda _, *given: told.append(given))
    told: list[tuple[float, ...]] = []
    again = recover_fold(images, labels, fold, replace(options, latencies=(2.0, 5.0)), keep=tmp_path)
    assert told == [(2.0, 5.0)]
    assert all(np.array_equal(again[step], answers) for step, answers in found.items())


def test_the_mixture_is_trained_with_the_balance_of_its_routers() -> None:
    torch.manual_seed(2)
    model = mix_(create_model("pvt_v2_b0_linangular", **CONFIG)).train()
    images, labels = torch.randn(2, 3, SIDE, SIDE), torch.tensor([1, 2])
    outputs = model(images)
    plain, whole = (objective(outputs, images, labels) for objective in (cross_entropy, balanced(cross_entropy, model)))
    assert torch.allclose(whole - plain, 0.01 * balance(model), atol=1e-6)
    whole.backward()
    assert all(m.gate.weight.grad is not None for m in model.modules() if isinstance(m, Router))
