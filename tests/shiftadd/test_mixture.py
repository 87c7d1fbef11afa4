"""Mixtures of primitives: routing, both deployments, and a balance that follows measured latency."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from edgevision.errors import DataError, ModelError
from edgevision.models.primitive_mixture import Mixture, Router, balance, combined, set_dispatch, set_latencies
from edgevision.models.pvt_v2 import mixed
from edgevision.models.shift_linear import ShiftLinear
from edgevision.ops.bit_packing import pack
from edgevision.ops.shift_code import ShiftCode
from edgevision.ops.shift_linear import shift_linear
from edgevision.shiftadd import expert_latency
from edgevision.shiftadd.expert_latency import expert_latencies, only_, profile_mixtures, profiled_latencies


def mixture(seed: int = 0) -> Mixture:
    torch.manual_seed(seed)
    return mixed(12, 7).eval()


def tokens(seed: int = 1, count: int = 9) -> Tensor:
    return torch.randn(2, count, 12, generator=torch.Generator().manual_seed(seed))


def by_dispatcher(model: Mixture, x: Tensor) -> Tensor:
    """As the official dispatcher: gather, compute, exponentiate, scatter, add the least step, take the logarithm."""
    flat = x.reshape(-1, x.shape[-1])
    expert = model.gate.gate(flat).argmax(-1)
    out = torch.zeros(len(flat), 7)
    for index, layer in enumerate(model.experts):
        at = (expert == index).nonzero().squeeze(1)
        out = out.scatter(0, at[:, None].expand(-1, 7), layer(flat[at]).exp())
    return (out + np.finfo(float).eps).log().reshape(*x.shape[:-1], 7)


@torch.no_grad()
def test_select_and_dispatch_are_the_official_dispatcher() -> None:
    model, x = mixture(), tokens()
    wanted = by_dispatcher(model, x)
    assert 0 < (model.gate(x).argmax(-1) == 1).float().mean() < 1, "both experts must be asked"
    assert torch.allclose(model(x), wanted, atol=1e-6)
    set_dispatch(model, True)
    assert torch.allclose(model(x), wanted, atol=1e-6)
    model.gate.gate.bias.data = torch.tensor([9.0, -9.0])  # an expert without a token
    assert torch.allclose(model(x), by_dispatcher(model, x), atol=1e-6)
    y = torch.tensor([-100.0, -36.0, -1.0, 0.0, 50.0, 500.0])
    assert torch.allclose(combined(y)[:5], (y.double().exp() + np.finfo(float).eps).log()[:5].float(), atol=1e-5)
    assert combined(y)[5] == 500.0, "the official form overflows here"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One mixture as both experts with a Where, and as a true dispatch over an open number of tokens."""
    folder = tmp_path_factory.mktemp("mixtures")
    files = {"select": folder / "select.onnx", "dispatch": folder / "dispatch.onnx"}
    for name, file in files.items():
        model = mixture()
        set_dispatch(model, name == "dispatch")
        open_tokens = {1: torch.export.Dim.DYNAMIC}
        program = torch.onnx.export(
            model, (tokens(),), dynamo=True, opset_version=20, verbose=False, dynamic_shapes=(open_tokens,)
        )
        assert program is not None
        program.save(file)
    return files


@pytest.mark.parametrize("deployment", ["select", "dispatch"])
def test_both_deployments_run_in_onnx_runtime(deployment: str, exported: dict[str, Path]) -> None:
    """At two numbers of tokens, and tokens that are routed otherwise."""
    model = mixture()
    session = onnxruntime.InferenceSession(exported[deployment], providers=["CPUExecutionProvider"])
    for seed, count in ((1, 9), (2, 9), (3, 4), (4, 30)):
        given = tokens(seed, count)
        (y,) = session.run(None, {session.get_inputs()[0].name: given.numpy()})
        assert np.allclose(y, model(given).detach().numpy(), atol=1e-5)


def test_the_shifting_expert_is_the_operator() -> None:
    torch.manual_seed(3)
    layer, x = ShiftLinear(12, 7), tokens()
    with torch.no_grad():
        weight = layer.weight
        assert set(torch.frexp(weight.abs())[0].unique().tolist()) <= {0.0, 0.5}
        assert (weight == 0).any(), "the sign is ternary after rounding"
        code = ShiftCode(form="ps", bits=5)
        packed = torch.from_numpy(pack(code.encode(weight.numpy()), code.width))
        assert torch.equal(torch.from_numpy(code.decode(code.encode(weight.numpy()))).float(), weight)
        assert torch.allclose(shift_linear(x, packed, None, layer.bias, activations="fixed"), layer(x), atol=1e-6)


def test_a_dense_layer_is_taken_over() -> None:
    torch.manual_seed(4)
    dense, layer = nn.Linear(12, 7), ShiftLinear(12, 7)
    layer.take(dense)
    ratio = layer.weight / dense.weight
    assert ratio.min() > 0.70
    assert ratio.max() < 1.42
    layer(tokens()).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())


def test_a_router_in_train_mode_is_not_exported() -> None:
    model = mixture().train()
    with pytest.raises(Exception, match="it is in train mode, where it adds noise") as found:
        torch.export.export(model, (tokens(),))
    assert isinstance(found.value, ModelError) or isinstance(found.value.__cause__, ModelError)
    model.gate.noise = 0.0
    torch.export.export(model, (tokens(),))


@pytest.mark.parametrize(("multiply", "shift"), [(1.0, 1.0), (3.0, 1.0), (1.0, 4.0)])
def test_the_balance_sends_tokens_where_they_are_cheap(multiply: float, shift: float) -> None:
    """Minimised alone, the loss divides the tokens in inverse proportion to the latencies."""
    torch.manual_seed(5)
    router = Router(12)
    set_latencies(router, multiply, shift)
    x = torch.randn(512, 12)
    optimizer = torch.optim.Adam(router.parameters(), lr=0.03)
    for _ in range(150):
        router(x)
        assert router.balance is not None
        optimizer.zero_grad()
        router.balance.backward()
        optimizer.step()
    router.eval()
    share = float((router(x).argmax(-1) == 1).float().mean())
    assert share == pytest.approx(multiply / (multiply + shift), abs=0.12)


class Two(nn.Module):
    """Two mixtures of unlike size, and a map of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = mixed(12, 64), mixed(64, 7)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x))
        return y


def test_coefficients_come_from_a_race_of_every_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the layer's own sizes; what was measured is what the loss weighs the experts by."""
    raced: list[tuple[int, ...]] = []

    def measured(*size: int, seconds: float) -> tuple[float, float]:
        raced.append(size)
        return 1.0, float(len(raced))

    monkeypatch.setattr(expert_latency, "expert_latencies", measured)
    model = Two()
    found = profile_mixtures(model, tokens(), seconds=0.1)
    assert raced == [(12, 64, 18), (64, 7, 18)]
    assert found == {"first": (1.0, 1.0), "second": (1.0, 2.0)}
    assert model.first.gate.latency == (0.5, 0.5)
    assert model.second.gate.latency == pytest.approx((1 / 3, 2 / 3))
    with pytest.raises(ValueError, match="no mixture"):
        profile_mixtures(nn.Linear(12, 3), tokens())


def test_a_race_sees_that_twice_the_work_takes_longer() -> None:
    multiply, shift = expert_latencies(64, 64, 196, seconds=0.2)
    larger = expert_latencies(512, 512, 784, seconds=0.2)
    assert larger[0] > multiply > 0
    assert larger[1] > shift > 0


def test_coefficients_come_from_profiles_of_a_device(tmp_path: Path) -> None:
    files = []
    for name, ms, device in (("multiply", 3.0, "pi"), ("shift", 1.0, "pi"), ("other", 1.0, "orin")):
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps({"latency_ms": {"p50": ms}, "device": {"name": device}}))
    model = Two()
    set_latencies(model, *profiled_latencies(*files[:2]))
    assert model.second.gate.latency == (0.75, 0.25)
    with pytest.raises(DataError, match="profile both on one"):
        profiled_latencies(files[0], files[2])
    files[1].write_text("{}")
    with pytest.raises(DataError, match="it is no profile"):
        profiled_latencies(*files[:2])


@torch.no_grad()
def test_one_expert_alone_is_what_is_profiled() -> None:
    """The network for either profile: its experts' layers, and no router."""
    for expert, kind in ((0, nn.Linear), (1, ShiftLinear)):
        torch.manual_seed(3)
        model = Two()
        layers = [model.first.experts[expert], model.second.experts[expert]]
        wanted = layers[1](layers[0](tokens()))
        only_(model, expert)
        assert not any(isinstance(m, Router) for m in model.modules())
        assert isinstance(model.first, kind)
        assert torch.equal(model(tokens()), wanted)


def test_the_balance_of_all_routers_is_summed() -> None:
    torch.manual_seed(6)
    model = Two()
    assert float(balance(model)) == 0.0
    model.train()(tokens())
    wanted = model.first.gate.balance + model.second.gate.balance
    assert torch.allclose(balance(model), wanted)
    assert float(wanted.detach()) > 0
