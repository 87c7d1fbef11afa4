"""Blocks that nobody has designed: branches of one map, each one linear operator or a few in a row, added up.

Kernels, strides, dilations, groups, padding, the nesting of the sum, shared weights and onlookers are drawn. All branches
yield maps of one size, so that what stays apart does so for a reason that can be looked up in the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from hypothesis import strategies as st
from net import Net

__all__ = ["BEFORE", "blocks"]

#: One time in eight; not 0, which is drawn more often than its share.
SELDOM = st.integers(0, 7).map(lambda drawn: drawn == 5)
#: What the nodes before the block are marked with.
BEFORE = "before the block"

#: What may make up a branch of stride 1, and what of a larger stride.
SINGLE = ("conv", "pool", "norm", "affine", "identity")
CHAINS = ("affine, conv", "conv, conv", "conv, pool", "pool, conv", "pad, conv", "rows")
STRIDED = ("conv", "conv", "pool", "conv, conv", "pad, conv")
#: The same where the map grows by the stride.
TRANSPOSED = ("transposed", "norm", "affine", "identity")


@st.composite
def blocks(draw: st.DrawFn) -> ir.Model:
    """A block as a model: its sum behind an Abs, and now and then a result that somebody else sees as well."""
    block = Block(draw)
    grows = draw(SELDOM)
    branches = [block.branch("transposed" if grows else "conv")]
    kinds = (TRANSPOSED if grows else SINGLE + CHAINS) if block.stride == 1 else TRANSPOSED[:1] if grows else STRIDED
    for _ in range(draw(st.integers(1, 4))):
        branches.append(block.branch(draw(st.sampled_from(kinds))))
    inner = [node.outputs[0] for node in block.net.nodes]
    total = block.added(list(branches))
    outputs = [block.net.op("Abs", block.norm(total))]  # a Relu may leave too little to measure by
    if draw(SELDOM):
        seen = draw(st.sampled_from(inner))
        outputs.append(seen if draw(st.booleans()) else block.net.op("Relu", seen))
    return block.net.model(*outputs)


@dataclass
class Block:
    """A block while it is drawn."""

    draw: st.DrawFn
    net: Net = field(init=False)
    weights: dict[tuple[int, ...], ir.Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        draw = self.draw
        self.net = Net(seed=draw(st.integers(0, 10**6)))
        self.axes, self.stride = draw(st.sampled_from([1, 2, 2, 2, 3])), draw(st.integers(1, 3))
        self.channels = draw(st.sampled_from([2, 4, 6]))
        self.x = self.net.input(1, self.channels, *(draw(st.integers(9, 13)) for _ in range(self.axes)))
        before = draw(st.sampled_from(["nothing", "nothing", "affine", "conv", "pool"]))
        if before != "nothing":  # what the branches read is a linear function of something itself
            self.x = getattr(self, before)(*(self.x,) if before == "affine" else (self.x, 1))
        for node in self.net.nodes:
            node.metadata_props[BEFORE] = ""

    def branch(self, kind: str) -> ir.Value:
        """A branch; a norm may follow whatever has weights."""
        x, stride = self.x, self.stride
        if kind == "identity":
            return x
        if kind == "affine":
            return self.affine(x)
        if kind == "conv":
            y = self.conv(x, stride)
        elif kind == "transposed":
            y = self.transposed(x, stride)
        elif kind == "pool":
            y = self.pool(x, stride)
        elif kind == "affine, conv":
            y = self.conv(self.norm(x, certain=True) if self.draw(st.booleans()) else self.affine(x), stride)
        elif kind == "conv, conv":  # one of the two looks at one place, as a rule: else the padding forbids it
            wide = self.draw(st.sampled_from([(False, True), (True, False), (True, True)]))
            y = self.conv(self.conv(x, 1, wide=wide[0]), stride, wide=wide[1])
        elif kind == "conv, pool":
            y = self.pool(self.conv(x, 1, wide=self.draw(SELDOM)), stride)
        elif kind == "pool, conv":
            y = self.conv(self.pool(x, 1), stride, wide=self.draw(SELDOM))
        elif kind == "pad, conv":
            y = self.padded(stride)
        elif kind == "rows":
            y = self.rows(x)
        else:
            y = self.norm(x, certain=True)
        return self.norm(y)

    def norm(self, x: ir.Value, *, certain: bool = False) -> ir.Value:
        return self.net.norm(x, self.channels) if certain or self.draw(st.booleans()) else x

    def affine(self, x: ir.Value) -> ir.Value:
        """One number a channel, by one node or by two."""
        kinds = self.draw(st.sampled_from([("Mul", "Add"), ("Mul",), ("Sub",), ("Div", "Sub"), ("Neg",)]))
        for kind in kinds:
            constant = () if kind == "Neg" else (self.net.weight(self.channels, *(1,) * self.axes),)
            x = self.net.op(kind, x, *constant)
        return x

    def conv(self, x: ir.Value, stride: int, *, wide: bool = True) -> ir.Value:
        attributes = self.geometry(stride, dilated=True, most=4 if wide else 1)
        groups = self.draw(st.sampled_from([g for g in (1, 2, self.channels) if self.channels % g == 0]))
        shape = (self.channels, self.channels // groups, *attributes["kernel_shape"])
        weight = self.weights.get(shape) if self.draw(st.booleans()) else None
        if weight is None:
            weight = self.weights[shape] = self.net.weight(*shape)
        operands = [weight, self.net.weight(self.channels)] if self.draw(st.booleans()) else [weight]
        return self.net.op("Conv", x, *operands, group=groups, **attributes)

    def pool(self, x: ir.Value, stride: int) -> ir.Value:
        attributes: dict[str, object] = dict(self.geometry(stride, dilated=False))
        del attributes["dilations"]
        counted, ceiling = not self.draw(SELDOM), self.draw(SELDOM) and stride == 1
        return self.net.op("AveragePool", x, count_include_pad=int(counted), ceil_mode=int(ceiling), **attributes)

    def transposed(self, x: ir.Value, stride: int) -> ir.Value:
        """A ConvTranspose that makes the map larger by the stride, cut at either end or added to at the far one."""
        draw = self.draw
        kernel = [draw(st.integers(1, 4)) for _ in range(self.axes)]
        dilations = [draw(st.integers(1, 3)) for _ in range(self.axes)]
        over = [d * (k - 1) + 1 - stride for d, k in zip(dilations, kernel, strict=True)]
        low = [draw(st.integers(0, max(o, 0))) for o in over]
        pads = [*low, *(max(o, 0) - b for o, b in zip(over, low, strict=True))]
        groups = draw(st.sampled_from([g for g in (1, 2, self.channels) if self.channels % g == 0]))
        weight = self.net.weight(self.channels, self.channels // groups, *kernel)
        return self.net.op(
            "ConvTranspose", x, weight, group=groups, kernel_shape=kernel, dilations=dilations, pads=pads,
            strides=[stride] * self.axes, output_padding=[max(-o, 0) for o in over],
        )  # fmt: skip

    def padded(self, stride: int) -> ir.Value:
        """A convolution whose padding is a node of its own: zeros as a rule."""
        attributes = self.geometry(stride, dilated=True)
        pads = attributes.pop("pads")
        amounts = np.array([0, 0, *pads[: self.axes], 0, 0, *pads[self.axes :]])
        constant = self.net.weight(values=np.array(0.5 * self.draw(SELDOM), np.float32))
        x = self.net.op("Pad", self.x, self.net.weight(values=amounts), constant)
        weight = self.net.weight(self.channels, self.channels, *attributes["kernel_shape"])
        return self.net.op("Conv", x, weight, **attributes)

    def rows(self, x: ir.Value) -> ir.Value:
        """A linear with channels last."""
        rank = self.axes + 2
        x = self.net.op("Transpose", x, perm=[0, *range(2, rank), 1])
        y = self.net.op("MatMul", x, self.net.weight(self.channels, self.channels))
        if self.draw(st.booleans()):
            y = self.net.op("Add", y, self.net.weight(self.channels))
        return self.net.op("Transpose", y, perm=[0, rank - 1, *range(1, rank - 1)])

    def geometry(self, stride: int, *, dilated: bool, most: int = 4) -> dict[str, list[int]]:
        """A kernel that leaves the map its size (or divides it by the stride), its padding at either end."""
        draw = self.draw
        kernel = [draw(st.integers(1, most)) for _ in range(self.axes)]
        dilations = [draw(st.integers(1, 3)) if dilated else 1 for _ in range(self.axes)]
        reach = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
        low = [
            draw(st.integers(0, r if dilated else min(r, k - 1))) for r, k in zip(reach, kernel, strict=True)
        ]  # a pool's padding is smaller than its kernel
        pads = [*low, *(r - b for r, b in zip(reach, low, strict=True))]
        return {"kernel_shape": kernel, "dilations": dilations, "pads": pads, "strides": [stride] * self.axes}

    def added(self, values: list[ir.Value]) -> ir.Value:
        """The values added up, nested in any way."""
        draw = self.draw
        while len(values) > 1:
            first = values.pop(draw(st.integers(0, len(values) - 1)))
            second = values.pop(draw(st.integers(0, len(values) - 1)))
            values.append(self.net.op(draw(st.sampled_from(["Add", "Add", "Sub", "Sum"])), first, second))
        return values[0]
