"""Chains of per-channel affines shrink to one, and affines that do nothing go."""

from __future__ import annotations

import numpy as np
import pytest
from net import Net, merged, ops, reasons


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", ["Mul", "Add", "Sub", "Div"])
def test_an_affine_beside_a_norm_goes_into_it(kind: str, first: bool) -> None:
    net = Net()
    x = net.op("Relu", net.input(2, 4, 5, 6))
    constant = net.weight(1, 4, 1, 1)
    y = net.norm(net.op(kind, x, constant), 4) if first else net.op(kind, net.norm(x, 4), constant)
    assert ops(merged(net.model(net.op("Relu", y))).model) == {"Relu": 2, "BatchNormalization": 1}


def test_two_norms_become_one() -> None:
    net = Net()
    y = net.norm(net.norm(net.input(2, 4, 5, 6), 4), 4, epsilon=1e-3)
    assert ops(merged(net.model(y)).model) == {"BatchNormalization": 1}


def test_two_scales_become_one_and_two_shifts_too() -> None:
    net = Net()
    x = net.op("Mul", net.op("Mul", net.input(2, 5, 8), net.weight(8)), net.weight())
    x = net.op("Sub", net.op("Add", x, net.weight(8)), net.weight(1))
    assert ops(merged(net.model(x)).model) == {"Mul": 1, "Add": 1}


@pytest.mark.parametrize(
    ("kinds", "left"), [(("Mul", "Neg"), {"Mul": 1}), (("Neg", "Mul"), {"Mul": 1}), (("Neg", "Neg"), {})]
)
def test_a_sign_has_no_constant(kinds: tuple[str, str], left: dict[str, int]) -> None:
    net = Net()
    x = net.op("Relu", net.input(2, 4, 5, 6))
    for kind in kinds:
        x = net.op(kind, x) if kind == "Neg" else net.op(kind, x, net.weight(4, 1, 1))
    assert ops(merged(net.model(net.op("Sigmoid", x))).model) == {"Relu": 1, "Sigmoid": 1, **left}


def test_scale_then_shift_is_as_short_as_it_gets() -> None:
    net = Net()
    y = net.op("Add", net.op("Mul", net.input(2, 4, 5, 6), net.weight(4, 1, 1)), net.weight(4, 1, 1))
    assert not merged(net.model(y)).modified


def test_an_affine_read_twice_is_declined() -> None:
    net = Net()
    middle = net.op("Mul", net.input(2, 4, 5, 6), net.weight(4, 1, 1))
    result = merged(net.model(net.op("Mul", middle, net.weight(4, 1, 1)), net.op("Relu", middle)))
    assert not result.modified
    assert "also read by Relu" in reasons(result)


@pytest.mark.parametrize(("kind", "value"), [("Add", 0.0), ("Sub", 0.0), ("Mul", 1.0), ("Div", 1.0)])
def test_neutral_affines_go(kind: str, value: float) -> None:
    net = Net()
    x = net.op("Relu", net.input(2, 4, 5, 6))
    y = net.op("Sigmoid", net.op(kind, x, net.weight(values=np.array(value, np.float32))))
    assert ops(merged(net.model(y)).model) == {"Relu": 1, "Sigmoid": 1}


def test_a_neutral_constant_that_widens_the_tensor_stays() -> None:
    net = Net()
    y = net.op("Add", net.input(4, 5), net.weight(values=np.zeros((1, 1, 1), np.float32)))
    assert not merged(net.model(y)).modified
