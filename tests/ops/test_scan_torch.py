"""The scan as a torch operator: values, gradients, and what compilers and exporters see of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scan_cases import VARIANTS, Variant, inputs_of, reference, tolerance

from edgevision.errors import GraphError
from edgevision.ops.selective_scan import selective_scan
from edgevision.ops.selective_scan.recurrence import recurrence
from edgevision.proof import difference

SIZES = ((1, 1), (7, 16), (49, 1), (196, 16), (1024, 1))


def tensors(
    v: Variant, *, channels: int, N: int, L: int, Bt: int = 2, double: bool = False
) -> list[torch.Tensor | None]:
    arrays = inputs_of(v, channels=channels, N=N, L=L, Bt=Bt)
    return [None if a is None else torch.from_numpy(a).to(torch.float64 if double else torch.float32) for a in arrays]


def scan(v: Variant, inputs: list[torch.Tensor | None]) -> torch.Tensor:
    return selective_scan(*inputs, delta_softplus=v.softplus, reverse=v.reverse)


@pytest.mark.parametrize(("L", "N"), SIZES)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_torch_operator_equals_the_definition(variant: Variant, L: int, N: int) -> None:
    inputs = tensors(variant, channels=5, N=N, L=L)
    arrays = [None if t is None else t.numpy() for t in inputs]
    wanted = reference(arrays, variant.attributes)
    allowed = tolerance(arrays, variant.attributes, wanted)
    assert difference(wanted, scan(variant, inputs).numpy()).max_abs_over_std <= allowed
    exact = scan(variant, [None if t is None else t.double() for t in inputs])
    assert difference(wanted, exact.numpy()).max_abs_over_std <= 1e-11


@pytest.mark.parametrize("shape", [(1, 3), (15, 3), (16, 3), (17, 2), (1000, 4), (40, 20000)])
def test_the_blocked_recurrence_is_the_recurrence(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    a, x = rng.uniform(0, 1, shape), rng.standard_normal(shape)
    h = np.zeros(shape)
    for t in range(shape[0]):
        h[t] = a[t] * h[t - 1] + x[t] if t else x[t]
    assert np.allclose(recurrence(torch.from_numpy(a), torch.from_numpy(x)).numpy(), h, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_gradients_in_float64(variant: Variant) -> None:
    inputs = tensors(variant, channels=2, N=2, L=18 if variant.K == 1 else 5, double=True)
    given = [t.requires_grad_() for t in inputs if t is not None]
    present = [t is not None for t in inputs]

    def function(*tensors: torch.Tensor) -> torch.Tensor:
        supply = iter(tensors)
        return scan(variant, [next(supply) if there else None for there in present])

    assert torch.autograd.gradcheck(function, given, atol=1e-5, rtol=1e-4, fast_mode=True)


def test_gradients_in_float32_are_those_of_float64() -> None:
    variant = VARIANTS[1]
    found = []
    for double in (False, True):
        inputs = tensors(variant, channels=16, N=4, L=64, double=double)
        given = [t.requires_grad_() for t in inputs if t is not None]
        found.append(torch.autograd.grad(scan(variant, inputs).square().sum(), given))
    for single, exact in zip(*found, strict=True):
        assert difference(exact.numpy(), single.numpy()).max_abs_over_std <= 1e-4


@pytest.mark.parametrize("variant", [VARIANTS[1]], ids=str)
def test_the_operator_is_a_good_citizen_of_torch(variant: Variant) -> None:
    inputs = [None if t is None else t.requires_grad_() for t in tensors(variant, channels=2, N=2, L=5)]
    options = {"delta_softplus": variant.softplus, "reverse": list(variant.reverse)}
    torch.library.opcheck(torch.ops.edgevision.selective_scan.default, tuple(inputs), options)


def test_wrong_shapes_are_refused_not_broadcast() -> None:
    u, delta, A, B, C, *_ = tensors(VARIANTS[1], channels=4, N=1, L=6)
    assert u is not None and delta is not None and A is not None and B is not None and C is not None
    for wrong in (
        lambda: selective_scan(u, delta, A, B[:1], C, reverse=(0, 1)),
        lambda: selective_scan(u, delta, A, B, C[..., :1], reverse=(0, 1)),
        lambda: selective_scan(u[:, :1], delta, A, B, C, reverse=(0, 1)),
        lambda: selective_scan(u, delta, A[:4], B, C, reverse=(0, 1)),
        lambda: selective_scan(u, delta, A, B, C, D=torch.ones(1), reverse=(0, 1)),
        lambda: selective_scan(u, delta, A, B, C, reverse=(0, 1, 1)),
        lambda: selective_scan(u, delta[0], A, B, C, reverse=(0, 1)),
    ):
        with pytest.raises(GraphError, match="selective_scan"):
            wrong()
