"""The engine: what is proven is what is written, a fold that fails its proof is undone, options are checked."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from net import Net, feeds_of, merged, ops, reasons, run

import edgevision.reparam.equations as equations_package
from edgevision.errors import GraphError, UsageError
from edgevision.proof import worst_difference
from edgevision.reparam import ReparamOptions, reparameterize
from edgevision.reparam.affine import Affine
from edgevision.reparam.equations import affine_after_linear, all_equations, parallel_sum
from edgevision.reparam.linear_op import LinearOp
from edgevision.reparam.matching import Floats

EQUATIONS = sorted(path.stem for path in Path(equations_package.__file__ or "").parent.glob("[!_]*.py"))


def norm_after_conv() -> Net:
    net = Net()
    net.output = net.norm(net.conv(net.input(2, 4, 6, 6), 6, 4, 3, 3), 6)  # type: ignore[attr-defined]
    return net


@pytest.mark.parametrize("error", [1e-3, 1e-8])
def test_a_broken_fold_is_undone(monkeypatch: pytest.MonkeyPatch, error: float) -> None:
    right = affine_after_linear.compose

    def wrong(op: LinearOp, affine: Affine) -> tuple[Floats, Floats]:
        kernel, bias = right(op, affine)
        return kernel * (1 + error), bias

    monkeypatch.setattr(affine_after_linear, "compose", wrong)
    net = norm_after_conv()
    model = net.model(net.output)  # type: ignore[attr-defined]
    feeds = feeds_of(model)
    before = run(model, feeds)
    result = reparameterize(model)
    assert not result.modified
    assert "the proof failed" in reasons(result)
    assert ops(result.model) == {"Conv": 1, "BatchNormalization": 1}
    assert worst_difference(before, run(result.model, feeds)).max_abs_over_std == 0


def test_a_sum_with_the_wrong_padding_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    right = parallel_sum.sum_kernels
    monkeypatch.setattr(parallel_sum, "sum_kernels", lambda kernels, sizes: right(kernels[:1] * 2, sizes))
    net = Net()
    x = net.input(1, 4, 7, 8)
    y = net.op("Add", net.conv(x, 4, 4, 3, 3, pads=[1] * 4), net.conv(x, 4, 4, 1, 1))
    result = reparameterize(net.model(y))
    assert not result.modified
    assert "the proof failed" in reasons(result)


def test_weights_that_rounding_spoils_are_left() -> None:
    """A bias of 1000.1 under an output whose spread is 1e-3: exact in float64, lost in a float32 bias."""
    net = Net()
    weight = net.weight(values=net.rng.standard_normal((4, 4, 1, 1)).astype(np.float32) * 1e-3)
    conv = net.op("Conv", net.input(1, 4, 7, 8), weight, net.weight(values=np.full(4, 1000.1, np.float32)))
    result = reparameterize(net.model(net.op("Mul", conv, net.weight(values=np.array(1.1, np.float32)))))
    assert not result.modified
    assert "the merged weights, rounded, are off by" in reasons(result)


def test_every_file_is_an_equation_of_its_name_with_its_formula() -> None:
    found = {equation.name: equation for equation in all_equations()}
    assert sorted(found) == EQUATIONS
    for name in EQUATIONS:
        text = (Path(equations_package.__file__ or "").parent / f"{name}.py").read_text()
        docstring = text.split('"""')[1]
        assert "=" in docstring
        assert "eclines" in docstring or name == "neutral_affine"


def test_chosen_equations_only() -> None:
    net = norm_after_conv()
    result = merged(net.model(net.output), equations=["parallel_sum"])  # type: ignore[attr-defined]
    assert not result.modified


def test_an_unknown_equation_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"equation 'fuse_all': no such equation") as error:
        reparameterize(Net().model(), ReparamOptions(equations=("fuse_all",)))
    assert "parallel_sum" in error.value.mend


def test_an_old_opset_is_an_error() -> None:
    net = Net(opset=8)
    with pytest.raises(GraphError, match="opset is 8"):
        reparameterize(net.model(net.op("Relu", net.input(1, 2))))


def test_merging_needs_little_memory() -> None:
    net = Net()
    y = net.input(1, 256, 8, 8)
    for _ in range(8):
        wide, point = net.conv(y, 256, 256, 3, 3, bias=False, pads=[1] * 4), net.conv(y, 256, 256, 1, 1, bias=False)
        y = net.op("Relu", net.op("Add", net.op("Add", net.norm(wide, 256), net.norm(point, 256)), net.norm(y, 256)))
    model = net.model(y)
    net.weights.clear()
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value is not None)
    tracemalloc.start()
    result = reparameterize(model)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert ops(result.model) == {"Conv": 8, "Relu": 8}
    assert peak <= 2 * size
