"""Mixtures of primitives: routing, both deployments, and a balance that follows measured latency."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from edgevision.errors import ModelError
from edgevision.models.primitive_mixture import Mixture, Router, combined, set_dispatch, set_latencies
from edgevision.models.pvt_v2 import mixed
from edgevision.models.shift_linear import ShiftLinear
from edgevision.ops.bit_packing import pack
from edgevision.ops.shift_code import ShiftCode
from edgevision.ops.shift_linear import shift_linear
from edgevision.shiftadd.expert_latency import expert_latencies


def mixture(seed: int = 0) -> Mixture:
    torch.manual_seed(seed)
    return mixed(12, 7).eval()


def tokens(seed: int = 1) -> Tensor:
    return torch.randn(2, 9, 12, generator=torch.Generator().manual_seed(seed))


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


@pytest.mark.parametrize("dispatch", [False, True])
def test_both_deployments_run_in_onnx_runtime(dispatch: bool, tmp_path: Path) -> None:
    model, x = mixture(), tokens()
    set_dispatch(model, dispatch)
    path = tmp_path / "mixture.onnx"
    program = torch.onnx.export(model, (x,), dynamo=True, opset_version=20, verbose=False)
    assert program is not None
    program.save(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for seed in (1, 2):  # other tokens are routed otherwise
        given = tokens(seed)
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


def test_latencies_come_from_a_race() -> None:
    multiply, shift = expert_latencies(64, 128, 196, seconds=0.2)
    assert multiply > 0
    assert shift > 0
