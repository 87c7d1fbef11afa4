"""The bodies of If and Loop are graphs too: they merge in themselves, never across their border."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from net import Net, merged, ops, reasons


def condition(net: Net, x: ir.Value) -> ir.Value:
    large = net.op("Greater", net.op("ReduceSum", x, keepdims=0), net.weight(values=np.array(0, np.float32)))
    large.type = ir.TensorType(ir.DataType.BOOL)
    return large


def node(kind: str, *inputs: ir.Value, name: str) -> ir.Node:
    made = ir.node(kind, inputs, name=name)
    made.outputs[0].name = name
    made.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    return made


def body(*nodes: ir.Node, constants: tuple[ir.Value, ...] = ()) -> ir.Graph:
    return ir.Graph([], nodes[-1].outputs, nodes=nodes, initializers=constants, name=f"body_{nodes[-1].name}")


def test_bodies_merge_and_copy_the_weights_they_share() -> None:
    """Both bodies and the graph around them scale a convolution with one weight, each by its own numbers."""
    net = Net()
    x, weight = net.input(1, 4, 6, 6), net.weight(4, 4, 1, 1)
    bodies = []
    for name in ("then", "else"):
        conv = node("Conv", x, weight, name=f"{name}_conv")
        scale = ir.tensor(net.rng.standard_normal((4, 1, 1), np.float32), name=f"{name}_scale")
        factor = ir.Value(name=scale.name, shape=ir.Shape(scale.shape), type=conv.outputs[0].type, const_value=scale)
        bodies.append(body(conv, node("Mul", conv.outputs[0], factor, name=f"{name}_mul"), constants=(factor,)))
    chosen = net.op("If", condition(net, x), then_branch=bodies[0], else_branch=bodies[1])
    result = merged(net.model(net.op("Add", chosen, net.norm(net.op("Conv", x, weight), 4))))
    assert [row.equation for row in result.applied] == ["affine_after_linear"] * 3
    (branch,) = (node for node in result.model.graph if node.op_type == "If")
    for name in ("then_branch", "else_branch"):
        assert [node.op_type for node in branch.attributes[name].as_graph()] == ["Conv"]
    graphs = (result.model.graph, *result.model.graph.subgraphs())
    names = [value.name for graph in graphs for value in graph.initializers.values()]
    assert len(names) == len(set(names)), "a body gives no name a second meaning"


def test_a_weight_that_only_a_body_still_reads_stays() -> None:
    net = Net()
    x, weight = net.input(1, 4, 6, 6), net.weight(4, 4, 1, 1)
    bodies = []
    for name in ("then", "else"):
        conv = node("Conv", x, weight, name=f"{name}_conv")
        bodies.append(body(conv, node("Abs", conv.outputs[0], name=f"{name}_abs")))
    chosen = net.op("If", condition(net, x), then_branch=bodies[0], else_branch=bodies[1])
    result = merged(net.model(net.op("Add", chosen, net.norm(net.op("Conv", x, weight), 4))))
    assert [row.equation for row in result.applied] == ["affine_after_linear"]


def test_the_body_of_a_loop_merges() -> None:
    """Three turns of a scaled convolution, whose result is the next turn's input."""
    net = Net()
    x, weight = net.input(1, 4, 6, 6), net.weight(4, 4, 1, 1)
    turn, going, state = (
        ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(dtype))
        for name, shape, dtype in (
            ("turn", [], ir.DataType.INT64), ("going", [1], ir.DataType.BOOL), ("state", [1, 4, 6, 6], ir.DataType.FLOAT)
        )
    )  # fmt: skip
    on = node("Identity", going, name="on")
    on.outputs[0].type = ir.TensorType(ir.DataType.BOOL)
    conv = node("Conv", state, weight, name="turned")
    scale = ir.tensor(net.rng.standard_normal((4, 1, 1), np.float32), name="scale")
    factor = ir.Value(name="scale", shape=ir.Shape(scale.shape), type=conv.outputs[0].type, const_value=scale)
    scaled = node("Mul", conv.outputs[0], factor, name="scaled")
    graph = ir.Graph(
        [turn, going, state],
        [on.outputs[0], scaled.outputs[0]],
        nodes=[on, conv, scaled],
        initializers=[factor],
        name="body",
    )
    turns, start = net.weight(values=np.array(3)), net.weight(values=np.array(True))
    result = merged(net.model(net.op("Loop", turns, start, x, body=graph)))
    assert [row.equation for row in result.applied] == ["affine_after_linear"]
    (loop,) = (node for node in result.model.graph if node.op_type == "Loop")
    assert [node.op_type for node in loop.attributes["body"].as_graph()] == ["Identity", "Conv"]


def test_nothing_moves_into_a_body() -> None:
    net = Net()
    x = net.input(1, 4, 6, 6)
    conv, rows = net.conv(x, 4, 4, 1, 1), net.op("Transpose", x, perm=[0, 2, 3, 1])
    linear = net.op("MatMul", rows, net.weight(4, 4))
    bodies = body(node("Mul", conv, net.weight(4, 1, 1), name="scaled")), body(node("Neg", linear, name="negative"))
    chosen = net.op("If", condition(net, x), then_branch=bodies[0], else_branch=bodies[1])
    back = net.op("Transpose", linear, perm=[0, 3, 1, 2])
    result = merged(net.model(net.op("Relu", chosen), net.op("Relu", back)))
    assert not result.modified
    assert "a part of it is in the body of an If or a Loop" in reasons(result)
    assert "negative, which reads channels last, is in the body" in reasons(result)


def test_a_reader_inside_a_body_counts() -> None:
    net = Net()
    conv = net.conv(net.input(1, 4, 6, 6), 6, 4, 1, 1)
    bodies = [body(node(kind, conv, name=kind.lower())) for kind in ("Neg", "Abs")]
    chosen = net.op("If", condition(net, conv), then_branch=bodies[0], else_branch=bodies[1])
    result = merged(net.model(net.norm(conv, 6), chosen))
    assert ops(result.model)["BatchNormalization"] == 1
    assert "also read by" in reasons(result)
