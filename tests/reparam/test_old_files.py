"""Files of every opset and of the oldest format merge as today's do, and take the whole path."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from net import Net, merged, ops
from workspace import Command, leftovers

from edgevision.passes.raise_opset import raised
from edgevision.reparam import reparameterize


def network(opset: int) -> ir.Model:
    """A RepVGG block with a pool, a linear between Transposes, a classifier with a norm."""
    net = Net(opset=opset)
    x = net.input("n", 8, 9, 10)
    pool = net.op("AveragePool", x, kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
    wide = net.norm(net.conv(x, 8, 8, 3, 3, pads=[1] * 4, bias=False), 8)
    point = net.norm(net.conv(x, 8, 8, 1, 1, bias=False), 8)
    y = net.op("Relu", net.op("Sum", wide, pool, net.norm(x, 8), point))
    rows = net.op("Transpose", y, perm=[0, 2, 3, 1])
    rows = net.op("Add", net.op("MatMul", rows, net.weight(8, 8)), net.weight(8))
    y = net.op("Flatten", net.op("GlobalAveragePool", net.op("Relu", net.op("Transpose", rows, perm=[0, 3, 1, 2]))))
    scores = net.norm(net.op("Gemm", y, net.weight(8, 5), net.weight(5)), 5)
    scores.shape = ir.Shape(["n", 5])
    return net.model(scores)


MERGED = {"Conv": 2, "Relu": 2, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1}


@pytest.mark.parametrize("opset", [9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 21, 23, 25])
def test_every_opset_merges(opset: int) -> None:
    result = merged(network(opset), n=2)
    assert ops(result.model) == MERGED
    assert not result.declined


def save_in_the_oldest_format(path: Path) -> None:
    """IR version 3: every weight must be among the inputs."""
    model = network(9)
    model.ir_version = 3
    model.graph.inputs.extend(model.graph.initializers.values())
    ir.save(model, path)


def test_the_oldest_format_lists_its_weights_as_inputs(tmp_path: Path) -> None:
    save_in_the_oldest_format(tmp_path / "old.onnx")
    result = reparameterize(ir.load(tmp_path / "old.onnx"))
    assert ops(result.model) == MERGED
    assert [value.name for value in result.model.graph.inputs] == ["x"]
    onnx.checker.check_model(ir.to_proto(result.model), full_check=True)


def test_an_old_file_takes_the_whole_path(edgevision: Command, tmp_path: Path) -> None:
    save_in_the_oldest_format(tmp_path / "old.onnx")
    ended = edgevision(
        "export", "--model", tmp_path / "old.onnx", "--target", "ort", "--out", tmp_path / "out", "--json"
    )
    assert ended.code == 0, ended.err
    manifest = ended.document["manifest"]
    assert (manifest["graph"]["opset"], manifest["parity"]["status"]) == (20, "verified")
    assert manifest["stages"][0]["notes"] == ["opset 9 > 20"]
    assert Counter(node.op_type for node in onnx.load(tmp_path / "out" / "model.onnx").graph.node) == MERGED


def test_what_the_converter_cannot_raise_stays(edgevision: Command, tmp_path: Path) -> None:
    """A file with a function that cannot be inlined, being written for another opset: it is merged in the opset it has."""
    model = network(17)
    result, halved = (ir.Value(name=name) for name in ("result", "halved"))
    half = ir.node("Constant", [], {"value": ir.tensor(np.array(0.5, np.float32))}, outputs=[halved])
    product = ir.node("Mul", [argument := ir.Value(name="argument"), halved], outputs=[result])
    graph = ir.Graph([argument], [result], nodes=[half, product], opset_imports={"": 18}, name="halve")
    function = ir.Function("of.another", "Halve", graph=graph, attributes=[])
    model.functions[function.identifier()] = function
    model.opset_imports["of.another"] = 1
    last = model.graph.outputs[0]
    call = ir.node("Halve", [last], domain="of.another", outputs=[ir.Value(name="y", type=last.type, shape=last.shape)])
    model.graph.append(call)
    model.graph.outputs[0] = call.outputs[0]
    assert raised(model, 20) is None
    ir.save(model, tmp_path / "given.onnx")
    ended = edgevision("reparam", tmp_path / "given.onnx", "--out", tmp_path / "out.onnx", "--json")
    assert ended.code == 0, ended.err
    merged_file = onnx.load(tmp_path / "out.onnx")
    assert [node.op_type for node in merged_file.graph.node][-1] == "Halve"
    assert {entry.domain: entry.version for entry in merged_file.opset_import}[""] == 17
    assert "BatchNormalization" not in {node.op_type for node in merged_file.graph.node}


@pytest.mark.parametrize("opset", [9, 13])
def test_norms_that_train_in_an_old_file_are_refused(edgevision: Command, tmp_path: Path, opset: int) -> None:
    """Before opset 14 a norm trains by having five results."""
    net = Net(opset=opset)
    y = net.norm(net.conv(net.input(2, 4, 6, 6), 6, 4, 1, 1), 6)
    y.shape = ir.Shape([2, 6, 6, 6])
    net.nodes[-1].resize_outputs(5)
    for index, output in enumerate(net.nodes[-1].outputs[1:]):
        output.name = f"running_{index}"
    ir.save(net.model(y), tmp_path / "given.onnx")
    ended = edgevision("reparam", tmp_path / "given.onnx", "--out", tmp_path / "out.onnx", "--json")
    assert ended.code == 4
    assert "in training mode" in ended.error["reason"]
    assert leftovers(tmp_path) == ["given.onnx"]
