"""Small graphs for the TensorRT target's tests."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import onnx_ir as ir
import pytest

from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES
from edgevision.passes.attach_bodies import attach_bodies

__all__ = ["Net", "conv_net", "needs_rtx", "scan_net"]

needs_rtx = pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="TensorRT for RTX is not installed")


class Net:
    """Builds a graph node by node; weights are drawn from one seeded generator."""

    def __init__(self, opset: int = 20) -> None:
        self.random = np.random.default_rng(7)
        self.graph = ir.Graph([], [], nodes=[], opset_imports={"": opset, DOMAIN: 1}, name="net")
        self.model = ir.Model(self.graph, ir_version=10)

    def input(self, name: str, *shape: int | str) -> ir.Value:
        value = ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))
        self.graph.inputs.append(value)
        return value

    def constant(self, array: np.ndarray, name: str = "") -> ir.Value:
        name = name or f"w{len(self.graph.initializers)}"
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
        self.graph.register_initializer(value)
        return value

    def weight(self, *shape: int, scale: float = 0.3) -> ir.Value:
        return self.constant((scale * self.random.standard_normal(shape)).astype(np.float32))

    def ints(self, *values: int) -> ir.Value:
        return self.constant(np.array(values, np.int64))

    def op(self, op_type: str, *inputs: ir.Value | None, domain: str = "", **attributes: object) -> ir.Value:
        name = f"{op_type}_{len(self.graph)}"
        node = ir.node(op_type, inputs, attributes, domain=domain, name=name)
        node.outputs[0].name = f"{name}_out"
        node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        self.graph.append(node)
        return node.outputs[0]

    def ev(self, op_type: str, *inputs: ir.Value | None, shape: tuple, **attributes: object) -> ir.Value:
        value = self.op(op_type, *inputs, domain=DOMAIN, **attributes, **PLUGIN_ATTRIBUTES)
        value.shape = ir.Shape(shape)
        return value

    def done(self, *outputs: ir.Value) -> ir.Model:
        from onnx_ir.passes.common import ShapeInferencePass

        for index, value in enumerate(outputs):
            value.name = f"y{index}"
            self.graph.outputs.append(value)
        ShapeInferencePass()(self.model)
        if any(node.domain == DOMAIN for node in self.graph):
            attach_bodies(self.model)
        return self.model


def scan_net(batch: int | str = 2) -> ir.Model:
    """Two scans of different lengths (one without a skip) and a wavelet round trip over an odd map."""
    net = Net()
    x = net.input("x", batch, 4, 7, 7)
    u = net.op("Reshape", x, net.ints(0, 4, 49))
    delta = net.op("Conv", u, net.weight(8, 4, 1))
    maps = net.op("Conv", u, net.weight(2, 4, 1))
    maps = net.op("Reshape", maps, net.ints(0, 2, 1, 49))
    rates = net.constant(-np.exp(net.random.standard_normal((8, 1))).astype(np.float32))
    attributes = {"delta_softplus": 1, "reverse": [0, 1]}
    y = net.ev(
        "EvSelectiveScan",
        *(u, delta, rates, maps, maps, net.weight(8), net.weight(8)),
        shape=(batch, 8, 49),
        **attributes,
    )
    short = net.op("AveragePool", y, kernel_shape=[7], strides=[7])
    few = net.op("Conv", short, net.weight(2, 8, 1))
    few = net.op("Reshape", few, net.ints(0, 2, 1, 7))
    z = net.ev(
        "EvSelectiveScan",
        *(short, short, rates, few, few, None, net.weight(8)),
        shape=(batch, 8, 7),
        **attributes,
    )
    bank = net.weight(16, 1, 2, 2, scale=0.7)
    bands = net.ev("EvDWT", x, bank, shape=(batch, 4, 4, 4, 4), mode="zero")
    back = net.ev("EvIDWT", bands, bank, shape=(batch, 4, 7, 7), mode="zero", crop=[1, 1])
    return net.done(net.op("Identity", z), net.op("Relu", back))


def conv_net(batch: int | str = 1, size: int | str = 8) -> ir.Model:
    """A plain convolutional classifier with a layer norm."""
    net = Net()
    x = net.op("Conv", net.input("x", batch, 3, size, size), net.weight(8, 3, 3, 3), pads=[1, 1, 1, 1])
    x = net.op("Relu", x)
    pooled = net.op("GlobalAveragePool", x)
    flat = net.op("Flatten", pooled)
    normed = net.op("LayerNormalization", flat, net.weight(8), net.weight(8), axis=-1)
    return net.done(net.op("MatMul", normed, net.weight(8, 5)))
