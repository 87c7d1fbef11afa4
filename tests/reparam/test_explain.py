"""What a person reads after a merge: what became one, what was left and why, which channels 8 bits would hurt."""

from __future__ import annotations

import numpy as np
from net import Net, merged

from edgevision.reparam import explain, risky_weights


def test_merges_and_reasons_are_told() -> None:
    net = Net()
    x = net.input(2, 4, 6, 6)
    seen = net.conv(x, 6, 4, 1, 1)
    y = net.norm(net.conv(x, 6, 4, 3, 3), 6, variance=np.array([0, 1, 1, 1, 1, 1], np.float32))
    result = merged(net.model(y, net.norm(seen, 6), seen))
    text = explain(result)
    assert "1 merges (1 affine_after_linear), 24 parameters and 1 nodes fewer" in text
    (row,) = result.applied
    assert f"{row.params_before} > {row.params_after}" in text
    assert f"{row.macs_before} > {row.macs_after}" in text
    assert "variance 0 in 1 channels" in text
    assert "1 places match and were left" in text
    assert "is a graph output" in text


def test_nothing_to_merge_is_told() -> None:
    net = Net()
    assert explain(merged(net.model(net.op("Relu", net.input(1, 2))))) == "Nothing was merged."


def test_a_residual_in_the_centre_tap_is_an_int8_risk() -> None:
    net = Net()
    x = net.input(1, 4, 7, 7)
    small = net.weight(values=net.rng.uniform(1e-4, 1e-3, (4, 1, 3, 3)).astype(np.float32))
    result = merged(net.model(net.op("Add", x, net.op("Conv", x, small, group=4, pads=[1] * 4))))
    (risk,) = risky_weights(result.model)
    assert risk.channels == (0, 1, 2, 3)
    assert risk.lost_per_channel == 8 / 9
    assert "89%" in explain(result)


def test_one_wide_channel_is_a_risk_per_tensor_only() -> None:
    net = Net()
    weight = net.rng.uniform(0.5, 1.0, (4, 3, 1, 1)).astype(np.float32)
    weight[2] *= 1000
    (risk,) = risky_weights(net.model(net.op("Conv", net.input(1, 3, 5, 5), net.weight(values=weight))))
    assert (risk.channels, risk.channels_per_tensor) == ((), (0, 1, 3))
    assert (risk.lost_per_channel, risk.lost_per_tensor) == (0.0, 1.0)


def test_even_channels_are_no_risk() -> None:
    net = Net()
    assert risky_weights(net.model(net.conv(net.input(1, 3, 5, 5), 4, 3, 3, 3))) == ()
