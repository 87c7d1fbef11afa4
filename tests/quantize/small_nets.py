"""Small float networks for the tests of quantization, and data for them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.calibration.arrays import Arrays

SHAPE = (3, 16, 16)


class Build:
    """A graph with random weights, built node by node; names and shapes are those an export gives."""

    def __init__(self, seed: int = 0, batch: int = 1) -> None:
        self.rng = np.random.default_rng(seed)
        self.image = ir.Value(name="image", shape=ir.Shape((batch, *SHAPE)), type=ir.TensorType(ir.DataType.FLOAT))
        self.nodes: list[ir.Node] = []
        self.constants: list[ir.Value] = []

    def constant(self, array: NDArray[np.generic]) -> ir.Value:
        tensor = ir.tensor(array, name=f"w{len(self.constants)}")
        value = ir.Value(name=tensor.name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
        self.constants.append(value)
        return value

    def op(self, kind: str, *inputs: ir.Value, **attributes: object) -> ir.Value:
        node = ir.node(kind, inputs, attributes, name=f"{kind}_{len(self.nodes)}")  # type: ignore[arg-type]
        node.outputs[0].name = f"v{len(self.nodes)}"
        self.nodes.append(node)
        return node.outputs[0]

    def conv(self, x: ir.Value, out: int, into: int, kernel: int = 3, groups: int = 1) -> ir.Value:
        spread = np.float32(1 / np.sqrt(into // groups * kernel**2))
        weight = self.rng.standard_normal((out, into // groups, kernel, kernel), np.float32) * spread
        bias = self.rng.standard_normal(out, np.float32)
        return self.op("Conv", x, self.constant(weight), self.constant(bias), group=groups, pads=[kernel // 2] * 4)

    def model(self, *outputs: ir.Value) -> ir.Model:
        graph = ir.Graph(
            [self.image], outputs, nodes=self.nodes, initializers=self.constants, opset_imports={"": 20}, name="net"
        )
        model = ir.Model(graph, ir_version=10)
        return ir.from_proto(_inferred(model))


def _inferred(model: ir.Model) -> object:
    import onnx

    return onnx.shape_inference.infer_shapes(ir.to_proto(model), strict_mode=True)


def residual_net(seed: int = 0, channels: int = 32, batch: int = 1) -> ir.Model:
    """Stem, a residual block with a depthwise convolution and a SiLU, and a classifier."""
    net = Build(seed, batch)
    stem = net.op("Relu", net.conv(net.image, channels, 3))
    wide = net.conv(stem, 2 * channels, channels, 1)
    gated = net.op("Mul", wide, net.op("Sigmoid", wide))
    deep = net.op("Relu", net.conv(gated, 2 * channels, 2 * channels, 3, groups=2 * channels))
    added = net.op("Add", stem, net.conv(deep, channels, 2 * channels, 1))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", net.op("Relu", net.conv(added, channels, channels))))
    head = net.rng.standard_normal((10, channels), np.float32)
    return net.model(net.op("Gemm", pooled, net.constant(head), net.constant(np.zeros(10, np.float32)), transB=1))


def pictures(count: int = 24, seed: int = 0) -> Arrays:
    """Smooth random inputs: neighbouring pixels are alike, as in pictures."""
    rng = np.random.default_rng(seed)
    coarse = rng.standard_normal((count, 3, 4, 4)).astype(np.float32)
    return Arrays("smooth", coarse.repeat(4, axis=2).repeat(4, axis=3), None, SHAPE, None)
