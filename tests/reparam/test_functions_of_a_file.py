"""A file's own functions are no wall: what is written in them merges with what is around them, or says why not."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest
from net import Net, merged, ops, reasons
from workspace import Command

from edgevision.errors import GraphError
from edgevision.reparam import reparameterize

DOMAIN = "their.modules"


def branch(opset: int = 20) -> ir.Function:
    """`ConvNorm(x, weight, scale, shift, mean, variance) {pads}`: a convolution and its norm."""
    inputs = [ir.Value(name=name) for name in ("x", "weight", "scale", "shift", "mean", "variance")]
    pads = ir.RefAttr("pads", "pads", ir.AttributeType.INTS)
    conv = ir.Node("", "Conv", inputs[:2], [pads], name="conv")
    norm = ir.Node("", "BatchNormalization", [conv.outputs[0], *inputs[2:]], name="norm")
    graph = ir.Graph(inputs, norm.outputs, nodes=[conv, norm], opset_imports={"": opset}, name="ConvNorm")
    return ir.Function(DOMAIN, "ConvNorm", graph=graph, attributes=[ir.Attr("pads", ir.AttributeType.INTS, None)])


def outer() -> ir.Function:
    """`Outer(...)`: calls the other; a wall in a wall."""
    inputs = [ir.Value(name=f"i{n}") for n in range(6)]
    call = ir.Node(DOMAIN, "ConvNorm", inputs, [ir.AttrInt64s("pads", [1] * 4)], name="inner")
    imports = {"": 20, DOMAIN: 1}
    graph = ir.Graph(inputs, call.outputs, nodes=[call], opset_imports=imports, name="Outer")
    return ir.Function(DOMAIN, "Outer", graph=graph, attributes=[])


def block(*functions: ir.Function) -> ir.Model:
    """Two branches that are calls and the map itself, added up."""
    net = Net()
    x = net.input(1, 4, 7, 8)

    def call(kind: str, size: int, **attributes: object) -> ir.Value:
        statistics = [
            net.weight(4),
            net.weight(4),
            net.weight(4),
            net.weight(values=net.rng.uniform(0.5, 2, 4).astype("f")),
        ]
        return net.op(kind, x, net.weight(4, 4, size, size), *statistics, domain=DOMAIN, **attributes)

    total = net.op("Add", call("Outer", 3), net.op("Add", call("ConvNorm", 1, pads=[0] * 4), x))
    y = net.op("Relu", total)
    y.shape = x.shape
    model = net.model(y)
    model.functions.update({function.identifier(): function for function in functions})
    return model


def test_a_sum_across_the_borders_of_functions() -> None:
    result = merged(block(branch(), outer()))
    assert ops(result.model) == {"Conv": 1, "Relu": 1}
    assert not result.model.functions
    assert {row.equation for row in result.applied} == {"affine_after_linear", "parallel_sum"}


def test_a_function_of_another_opset_is_left_and_named() -> None:
    result = merged(block(branch(opset=18), outer()))
    assert ops(result.model)["ConvNorm"] == 2
    assert reasons(result).count("written for opset 18 of 'ai.onnx', the model for 20") == 2
    assert list(result.model.functions) == [(DOMAIN, "ConvNorm", "")]


def test_functions_in_a_circle_are_an_error() -> None:
    circular = branch()
    circular.graph.append(ir.Node(DOMAIN, "Outer", circular.inputs, name="back"))
    with pytest.raises(GraphError, match="call one another in a circle"):
        reparameterize(block(circular, outer()))


def test_the_command_says_what_it_inlined(edgevision: Command, tmp_path: Path) -> None:
    given, out = tmp_path / "given.onnx", tmp_path / "merged.onnx"
    ir.save(block(branch(), outer()), given)
    ended = edgevision("reparam", given, "--out", out, "--json")
    assert ended.code == 0, ended.err
    assert "2 calls of the file's functions inlined" in ended.out
    assert ops(ir.load(out)) == {"Conv": 1, "Relu": 1}
