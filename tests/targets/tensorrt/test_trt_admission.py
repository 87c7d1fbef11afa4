"""What TensorRT would get wrong in silence is refused before its parser sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from nets import Net, conv_net, scan_net

from edgevision.errors import GraphError
from edgevision.targets.tensorrt.admission import admit, check_file
from edgevision.targets.tensorrt.flavor import FLAVORS

RTX = FLAVORS["rtx"]


def _quantized(zero: np.ndarray | None, **attributes: object) -> ir.Model:
    net = Net()
    inputs = [net.input("x", 1, 4), net.constant(np.float32(0.1))]
    inputs += [] if zero is None else [net.constant(zero)]
    narrow = net.op("QuantizeLinear", *inputs, **attributes)
    narrow.type = ir.TensorType(ir.DataType.UINT8 if zero is None else ir.tensor(zero).dtype)
    return net.done(net.op("DequantizeLinear", narrow, *inputs[1:]))


def _single(op: str, *more: np.ndarray, domain: str = "", **attributes: object) -> ir.Model:
    net = Net()
    x = net.input("x", 1, 4, 6, 6)
    return net.done(net.op(op, x, *(net.constant(array) for array in more), domain=domain, **attributes))


def _function(domain: str, name: str) -> ir.Function:
    x = ir.Value(name="x")
    node = ir.node("Abs", [x])
    return ir.Function(
        domain, name, graph=ir.Graph([x], node.outputs, nodes=[node], opset_imports={"": 20}), attributes=[]
    )


def _with_functions(*names: tuple[str, str]) -> ir.Model:
    net = Net()
    x = net.input("x", 1, 4)
    for domain, name in names:
        function = _function(domain, name)
        net.model.functions[function.identifier()] = function
        net.graph.opset_imports[domain] = 1
        x = net.op(name, x, domain=domain)
    return net.done(x)


def _double() -> ir.Model:
    net = Net()
    x = net.input("x", 1, 4)
    wide = net.op("Cast", x, to=int(ir.DataType.DOUBLE))
    wide.type = ir.TensorType(ir.DataType.DOUBLE)
    return net.done(net.op("Cast", wide, to=int(ir.DataType.FLOAT)))


def _opset(version: int) -> ir.Model:
    model = conv_net()
    model.opset_imports[""] = version
    return model


ALIGNED = np.array([0.0], np.float32)
REFUSED = {
    "an unsigned zero point": (lambda: _quantized(np.uint8(0)), "unsigned type", "symmetrically"),
    "a shifted zero point": (lambda: _quantized(np.int8(3)), "zero point is not 0", "symmetrically"),
    "an implied uint8": (lambda: _quantized(None), "unsigned type", "symmetrically"),
    "DOUBLE": (_double, "DOUBLE, which TensorRT silently computes in FLOAT", "float32"),
    "a function named like an operator": (
        lambda: _with_functions(("mine", "Relu")),
        "named like ONNX's Relu",
        "rename",
    ),
    "two bodies under one name": (
        lambda: _with_functions(("one", "Foo"), ("two", "Foo")),
        "one::Foo, two::Foo share one name",
        "rename",
    ),
    "an opset too new": (lambda: _opset(99), "opset 99", "opset 20"),
    "an opset too old": (lambda: _opset(7), "opset 7", "opset 20"),
    "an operator without an importer": (lambda: _single("Det"), "does not support Det", "without it"),
    "an integer convolution": (
        lambda: _single("DynamicQuantizeLinear"),
        "does not support DynamicQuantizeLinear",
        "Q/DQ form",
    ),
    "a DFT the pass declined": (lambda: _single("DFT"), "does not support DFT", "dft_as_matmul"),
    "an operator of ONNX Runtime's": (
        lambda: _single("FusedMatMul", domain="com.microsoft"),
        "no operator com.microsoft::FusedMatMul",
        "before ONNX Runtime optimizes",
    ),
    "a custom operator without body": (
        lambda: _single("Strange", domain="somewhere"),
        "no operator somewhere::Strange",
        "standard operators",
    ),
    "an antialiased resize": (
        lambda: _single("Resize", ALIGNED[:0], np.ones(4, np.float32), antialias=1),
        "Resize with antialias",
        "without antialias",
    ),
    "a TopK too large": (lambda: _single("TopK", np.array([4000])), "no TopK above 3840", "fewer"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    make, reason, mend = REFUSED[name]
    with pytest.raises(GraphError) as raised:
        admit(make(), RTX, frozenset())
    assert reason in str(raised.value)
    assert mend in raised.value.mend


def test_the_nodes_are_named_and_counted() -> None:
    net = Net()
    x = net.input("x", 1, 4, 6, 6)
    for _ in range(7):
        x = net.op("Det", x)
    with pytest.raises(GraphError) as raised:
        admit(net.done(x), RTX, frozenset())
    assert raised.value.thing == "node Det_0, Det_1, Det_2, Det_3, Det_4 and 2 more"


def test_only_rtx_lacks_non_max_suppression() -> None:
    net = Net()
    y = net.op("NonMaxSuppression", net.input("boxes", 1, 6, 4), net.input("scores", 1, 1, 6))
    y.type = ir.TensorType(ir.DataType.INT64)
    model = net.done(y)
    with pytest.raises(GraphError, match="NonMaxSuppression"):
        admit(model, RTX, frozenset())
    admit(model, FLAVORS["enterprise"], frozenset())


def test_sound_graphs_are_admitted() -> None:
    admit(conv_net(), RTX, frozenset())
    admit(_quantized(np.int8(0)), RTX, frozenset())
    admit(scan_net(), RTX, frozenset(["EvSelectiveScan", "EvDWT", "EvIDWT"]))


@pytest.mark.parametrize("data", [b"", b"no model at all" * 40, bytes(range(256)) * 2], ids=["empty", "text", "bytes"])
def test_a_file_that_is_no_model_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    with pytest.raises(GraphError, match=r"bad\.onnx"):
        check_file(path)


def test_a_truncated_model_is_refused(plain: ir.Model, tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    data = ir.to_proto(plain).SerializeToString()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(GraphError, match="not a valid ONNX model"):
        check_file(path)


def test_missing_external_data_is_refused(plain: ir.Model, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(ir.to_proto(plain), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    check_file(path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(GraphError, match=r"weights\.bin"):
        check_file(path)
