"""Attaching, inlining and counting bodies over a model of several custom nodes, two of which share one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from numpy.typing import NDArray

from edgevision.errors import GraphError
from edgevision.ops.operator import DOMAIN, Operator, Signature, operators
from edgevision.passes.attach_bodies import attach_bodies, signature_of
from edgevision.passes.inline_bodies import count_nodes, inline_bodies
from edgevision.proof import difference

SCAN = operators()["EvSelectiveScan"]
DWT = operators()["EvDWT"]
#: Shapes of the model's inputs.
SHAPES = {
    "u": (2, 3, 7),
    "delta": (2, 6, 7),
    "A": (6, 2),
    "B": (2, 2, 2, 7),
    "C": (2, 2, 2, 7),
    "bias": (6,),
    "x": (2, 3, 7, 7),
    "filters": (12, 1, 2, 2),
}


def model() -> ir.Model:
    """Three scans, the last two alike but for their inputs' values, and a DWT; no shapes but the inputs'."""
    values = {
        name: ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(shape))
        for name, shape in SHAPES.items()
    }
    u, delta, A, B, C, bias = (values[name] for name in ("u", "delta", "A", "B", "C", "bias"))
    shared = {"delta_softplus": 1, "plugin_namespace": DOMAIN, "plugin_version": "1"}
    both, forward = {**shared, "reverse": [0, 1]}, {**shared, "reverse": [0]}
    nodes = [
        ir.node(SCAN.name, [u, delta, A, B, C, None, bias], both, domain=DOMAIN, name="first"),
        ir.node(SCAN.name, [u, delta, A, B, C], forward, domain=DOMAIN, name="second"),
        ir.node(SCAN.name, [u, delta, A, C, B], forward, domain=DOMAIN, name="third"),
        ir.node(DWT.name, [values["x"], values["filters"]], {"mode": "zero"}, domain=DOMAIN, name="wavelet"),
    ]
    added = ir.node("Sum", [node.outputs[0] for node in nodes[:3]], name="sum")
    outputs = [added.outputs[0], nodes[3].outputs[0]]
    for output, name, rank in zip(outputs, ("y", "bands"), (3, 5), strict=True):
        output.name, output.type, output.shape = name, ir.TensorType(ir.DataType.FLOAT), ir.Shape([None] * rank)
    graph = ir.Graph(list(values.values()), outputs, nodes=[*nodes, added], opset_imports={"": 20}, name="several")
    return ir.Model(graph, ir_version=9)


def inputs() -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    made = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
    return {**made, "A": -np.exp(made["A"])}


def wanted() -> list[NDArray[np.generic]]:
    f = inputs()
    u, delta, A, B, C, bias = (f[name] for name in ("u", "delta", "A", "B", "C", "bias"))
    both, forward = {"delta_softplus": 1, "reverse": (0, 1)}, {"delta_softplus": 1}
    scans = [
        SCAN.reference([u, delta, A, B, C, None, bias], both)[0],
        SCAN.reference([u, delta, A, B, C], forward)[0],
        SCAN.reference([u, delta, A, C, B], forward)[0],
    ]
    return [np.add(np.add(scans[0], scans[1]), scans[2]), DWT.reference([f["x"], f["filters"]], {})[0]]


def assert_right(built: ir.Model, options: onnxruntime.SessionOptions | None = None) -> None:
    proto = ir.to_proto(built)
    onnx.checker.check_model(proto, full_check=options is None)
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options or onnxruntime.SessionOptions(), providers=["CPUExecutionProvider"]
    )
    for reference, result in zip(wanted(), session.run(None, inputs()), strict=True):
        assert difference(reference, result).max_abs_over_std <= 1e-5


def test_nodes_of_one_signature_share_a_body() -> None:
    built = model()
    result = attach_bodies(built)
    assert [a.where for a in result.applied] == [("first",), ("second",), ("third",), ("wavelet",)]
    assert len(built.functions) == 3
    assert built.ir_version >= 10
    assert built.opset_imports[DOMAIN] == 1
    assert_right(built)


@pytest.mark.parametrize("form", ["serial", "whole", "two_level", "log_depth", "radix8"])
def test_a_form_is_taken_where_the_operator_has_it(form: str) -> None:
    built = model()
    attach_bodies(built, form)
    overloads = {node.op_type: node.overload for node in built.graph if node.domain == DOMAIN}
    assert overloads["EvSelectiveScan"].startswith(form)
    assert overloads["EvDWT"].startswith("conv")
    assert_right(built)


def test_a_form_may_be_chosen_node_by_node() -> None:
    def shortest(operator: Operator, signature: Signature) -> ir.Function:
        with_bias = operator is SCAN and signature.present(6)
        return operator.bodies["radix8" if with_bias else "canonical"](signature)

    built = model()
    attach_bodies(built, shortest)
    overloads = [node.overload.split("_")[0] for node in built.graph if node.domain == DOMAIN]
    assert overloads == ["radix8", "serial", "serial", "conv"]
    assert_right(built)


def test_attaching_again_leaves_no_old_body() -> None:
    built = model()
    attach_bodies(built, "log_depth")
    attach_bodies(built, "serial")
    assert not any(overload.startswith("log_depth") for _, _, overload in built.functions)
    assert_right(built)


def test_the_opset_of_a_newer_model_is_kept() -> None:
    built = model()
    built.opset_imports[""] = 21
    attach_bodies(built)
    assert {function.opset_imports[""] for function in built.functions.values()} == {21}
    inline_bodies(built)
    assert_right(built)


def test_inlining_by_type_by_predicate_and_whole() -> None:
    built = model()
    attach_bodies(built)
    total = count_nodes(built)
    inline_bodies(built, ["EvDWT"])
    assert [node.op_type for node in built.graph if node.domain == DOMAIN] == ["EvSelectiveScan"] * 3
    assert_right(built)
    inline_bodies(built, lambda node: node.name == "second")
    assert [node.name for node in built.graph if node.domain == DOMAIN] == ["first", "third"]
    assert_right(built)
    rest = inline_bodies(built)
    assert [a.where for a in rest.applied] == [("first",), ("third",)]
    assert not built.functions
    assert DOMAIN not in built.opset_imports
    assert count_nodes(built) == total
    assert_right(built)


def test_counting_inlines_without_changing_the_model() -> None:
    built = model()
    assert count_nodes(built) == 5
    attach_bodies(built)
    before = ir.to_proto(built).SerializeToString(deterministic=True)
    counted = count_nodes(built)
    assert ir.to_proto(built).SerializeToString(deterministic=True) == before
    inline_bodies(built)
    assert counted == sum(node.op_type != "Constant" for node in built.graph.all_nodes()) > 50


def test_the_proof_notices_a_wrong_body() -> None:
    """Scanning every group forward, though the node says otherwise, must not pass for right."""

    def forward(operator: Operator, signature: Signature) -> ir.Function:
        if operator is SCAN:
            signature = Signature(shapes=signature.shapes, attributes={**signature.attributes, "reverse": (0,)})
        return operator.bodies["canonical"](signature)

    built = model()
    attach_bodies(built, forward)
    with pytest.raises(AssertionError):
        assert_right(built)


def test_the_signature_of_a_node() -> None:
    first = next(iter(model().graph))
    signature = signature_of(first, SCAN)
    assert signature.shapes[0] == (2, 3, 7)
    assert [signature.present(i) for i in range(8)] == [True] * 5 + [False, True, False]
    assert signature.attributes == {"delta_softplus": 1, "reverse": (0, 1)}


def test_what_cannot_be_done_is_said() -> None:
    shapeless = model()
    shapeless.graph.inputs[0].shape = None
    with pytest.raises(GraphError, match="shape of u is unknown"):
        attach_bodies(shapeless)
    old = model()
    old.opset_imports[""] = 17
    with pytest.raises(GraphError, match="opset is 17"):
        attach_bodies(old)
    bare = model()
    with pytest.raises(GraphError, match="has no body"):
        inline_bodies(bare)
    unknown = model()
    next(iter(unknown.graph)).op_type = "EvNothing"
    with pytest.raises(GraphError, match="no operator EvNothing"):
        attach_bodies(unknown)
    short = model()
    next(iter(short.graph)).resize_inputs(4)
    with pytest.raises(GraphError, match="input C of EvSelectiveScan is missing"):
        attach_bodies(short)


def test_a_kernel_is_used_whatever_the_overload(tmp_path: Path) -> None:
    native = pytest.importorskip("edgevision.native", reason="the kernel library's loader is not in this checkout")
    if native.why_not() is not None:
        pytest.skip(f"no kernels: {native.why_not().reason}")
    built = model()
    attach_bodies(built)
    options = onnxruntime.SessionOptions()
    assert native.register(options)
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    assert_right(built, options)
    left = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert sorted(left) == ["EvDWT", *["EvSelectiveScan"] * 3, "Sum"]
